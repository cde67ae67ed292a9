"""Middleware that runs for every request."""
