"""Modules that parse the tool definitions in a request, the parameter `tool_choice`, and the arguments of tool calls."""
