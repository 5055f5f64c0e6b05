"""What geodns knows about names, records, steering and checks, as frozen values with their validation.

No I/O, no clock, no database: everything here is a function of its arguments.
"""
