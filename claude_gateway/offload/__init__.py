"""Pool of processes that parse large requests, so that parsing does not block the event loop."""
