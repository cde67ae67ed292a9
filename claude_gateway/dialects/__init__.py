"""One package a dialect: `wire` (the request as it is sent), `parse` (to a job), `encode` (from events).

Pure: no web framework, no clock, no I/O; dialects do not know each other.
"""
