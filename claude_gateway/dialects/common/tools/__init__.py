"""Modules that parse the tools in a request, the parameter `tool_choice`, and the arguments of tool calls."""
