"""One file a schema version, named NNNN_verb_noun."""
