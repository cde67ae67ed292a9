"""The shape of the database, as the numbered scripts that made it: the first is number 1."""

_SESSIONS = """
-- A session of a key. `key` is never used twice, so that one deleted and made anew is another; `version` grows with
-- each answer; times are in seconds of the epoch.
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    turns INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    system TEXT NOT NULL DEFAULT '',
    UNIQUE (owner, id)
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE TABLE session_turns (
    session INTEGER NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (session, number)
);
"""

# A script that was released never changes: databases exist that went through it. What is to change, a new one changes.
SCRIPTS: tuple[str, ...] = (_SESSIONS,)
