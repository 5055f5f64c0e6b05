"""geodns: an authoritative DNS load balancer. This package is its control plane; the packet path is the Rust dataplane."""

__version__ = "0.1.0"
