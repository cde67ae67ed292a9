"""Programs for developers: the fake Anthropic API, the demo, checks of the CLI, and generators of document tables."""
