"""Examines requests for the endpoints `/v1/compatibility` and `/v1/debug/request`."""
