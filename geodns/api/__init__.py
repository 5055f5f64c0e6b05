"""REST over the running node: routes, schemas, tokens, problem details."""
