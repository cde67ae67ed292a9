"""Parsing of request bodies, in the event loop or in a separate process."""
