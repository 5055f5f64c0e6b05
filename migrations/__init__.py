"""Alembic scripts, shipped as `geodns.migrations`. `geodns/store/migrate.py` runs them; versions are named NNNN_verb_noun."""
