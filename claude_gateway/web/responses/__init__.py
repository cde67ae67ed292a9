"""Functions that build response bodies and headers."""
