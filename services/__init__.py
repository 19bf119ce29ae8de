"""The three services (ingest, analytics, api) and the command `lab` that starts them."""
