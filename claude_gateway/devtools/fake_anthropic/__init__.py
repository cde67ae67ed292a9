"""Fake Anthropic API, a server on loopback. Directives in the prompt determine the replies of the server."""
