"""Tools in a request: their definitions, the choice among them, the arguments of calls, and custom tools."""
