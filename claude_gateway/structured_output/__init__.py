"""Modules that check the JSON Schemas from clients, and validate the model's JSON replies against these schemas."""
