//! The codec of the link against itself and against a stranger's bytes.

mod frames;
mod items;
mod samples;
