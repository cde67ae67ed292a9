"""A stand-in for the Anthropic API on loopback, for the demo, the tests and the bench."""
