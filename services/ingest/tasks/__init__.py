"""Tasks that ingest does for others, one module a kind."""
