"""Modules that parse the request parameters of several dialects, and say which parameters the gateway supports."""
