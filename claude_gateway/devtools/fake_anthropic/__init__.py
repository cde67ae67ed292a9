"""Fake Anthropic API, a server on loopback. Instructions in the prompt (directives) determine the server's replies."""
