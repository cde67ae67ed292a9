"""Validation of JSON Schemas that clients send, and of the JSON replies that must match them."""
