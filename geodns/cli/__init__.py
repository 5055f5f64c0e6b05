"""The command line: verbs over the API, and the local ones (serve, check, db, dataplane)."""
