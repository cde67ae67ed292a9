"""Stores the MCP servers that clients register, connects to these servers, and calls their tools within limits."""
