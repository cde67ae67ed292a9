"""Open, read, write, migrate and back up the gateway's SQLite database, and lock the directory that contains it."""
