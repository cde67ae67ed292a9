"""Parsers that convert the frames of the CLI into events."""
