"""Explains to clients how the gateway reads a request (endpoints `/v1/compatibility` and `/v1/debug/request`)."""
