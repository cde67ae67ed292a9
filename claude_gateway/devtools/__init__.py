"""Programs for developers, such as the fake Anthropic API, the demo, checks of the CLI and generators of documents."""
