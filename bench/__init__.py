"""Measurements: never part of the tests. `make bench` runs `bench.run`."""
