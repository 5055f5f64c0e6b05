//! The real program, over real sockets, with a test in control's place.

mod control;
mod dns;
mod links;
mod process;
mod processes;
mod restarts;
mod serving;
mod streams;
mod transfers;
mod zones;
