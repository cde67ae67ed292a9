"""Contract checks, which verify that a `claude` binary behaves as the workers expect."""
