"""Builds the sandbox for agents, allows or denies their tool calls, and checks that the sandbox works."""
