"""Authentication of requests, and reading of their bodies."""
