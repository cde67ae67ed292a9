"""Manages the MCP servers that clients register, with the servers' connections, tools and limits."""
