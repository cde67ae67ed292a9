"""Catalog of Claude Code's built-in tools, the tool choices of each key, and counters of the tool calls."""
