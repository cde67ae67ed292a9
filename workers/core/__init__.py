"""Data types and small helpers that all other parts of the engine use."""
