"""Real client programs against the gateway, with the real CLI and the fake Anthropic API: `python -m tests.clients`."""
