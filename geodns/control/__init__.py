"""The running node: start, supervision of the dataplane, following revisions, writes, health flow."""
