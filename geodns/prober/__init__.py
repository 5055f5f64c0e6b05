"""Health: what is checked, when, with which outcome, and the verdict that follows. Knows no database and no link."""
