"""The decision of a steered rrset once more, slow and obvious, written from the pages and from nothing else.

It reads the documents that a user writes (records, CIDR lists, location databases, overrides) and what the checks say, and tells what the
dataplane has to decide. It imports nothing of geodns: octoDNS's own tables and the standard library are all that it knows
(`tests/property/test_steering_oracle.py` holds it to that).
"""
