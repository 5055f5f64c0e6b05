//! The `geodns-dataplane` program: reads its flags and runs the server until it is told to stop.

fn main() {}
