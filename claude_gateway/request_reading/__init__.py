"""Modules that parse request bodies. The gateway parses large bodies in a separate process."""
