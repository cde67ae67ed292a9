"""Claude Code as a library: it answers chat jobs with a limited number of long-lived ``claude`` processes.

This package knows nothing about HTTP or API dialects, and of an API key only an opaque `key_id`. `claude_gateway`
imports it, never the reverse.
"""
