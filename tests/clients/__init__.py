"""Real client programs against the gateway, the real CLI and the stand-in: `python -m tests.clients`."""
