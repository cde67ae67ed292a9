"""Faults on command: workers that misbehave, an upstream that lies, callers who leave. The same code short, as tests,
and long, as `make soak`."""
