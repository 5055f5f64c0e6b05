"""Measurements: never part of the tests. `make bench` runs `bench.__main__`."""
