"""Finds the `claude` binary, and reports its version, its login and the state of the engine."""
