"""Claude Code as an engine: a bounded pool of long-lived ``claude`` processes.

Knows nothing of HTTP, API keys or API dialects; `claude_gateway` imports this package, never the reverse.
"""
