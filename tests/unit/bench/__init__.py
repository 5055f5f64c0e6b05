"""The measurements that the suite relies on."""
