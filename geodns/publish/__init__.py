"""Turning stored zones into the items of the link, and carrying them to the dataplane."""
