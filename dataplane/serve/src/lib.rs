//! Sockets, the link server, the state on disk and the threads of the dataplane.
