"""The shape of the database, as the numbered scripts that made it: the first is number 1."""

from claude_gateway.stores.daily_sums import DAILY_SUMS

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

_RESPONSES = """
-- A stored response of a key. `system` and `turns` are what it added to its conversation, `parent` the response it went
-- on from. Without an `object` it was deleted, and is there for those that go on from it. Times are in seconds of the
-- epoch.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    parent TEXT,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    status TEXT NOT NULL,
    object BLOB,
    items BLOB,
    events BLOB,
    system BLOB NOT NULL,
    turns BLOB NOT NULL,
    bytes INTEGER GENERATED ALWAYS AS (
        coalesce(length(object), 0) + coalesce(length(items), 0) + coalesce(length(events), 0)
        + length(system) + length(turns)
    ) STORED
);
CREATE INDEX responses_by_owner ON responses (owner, created_at, bytes);
CREATE INDEX responses_by_parent ON responses (parent) WHERE parent IS NOT NULL;
CREATE INDEX responses_by_expiry ON responses (expires_at) WHERE object IS NOT NULL;
-- What marks the thoughts that callers keep as this gateway's own.
CREATE TABLE seal (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL
);
"""

_TOOL_CHOICES = """
-- Which of Claude's own tools a key wants: for one session, or with session '' for all. Lists are JSON, or NULL for
-- nothing said.
CREATE TABLE tool_choices (
    owner TEXT NOT NULL,
    session TEXT NOT NULL,
    allowed BLOB,
    disallowed BLOB,
    changed_at REAL NOT NULL,
    PRIMARY KEY (owner, session)
);
"""

_KEYS = """
-- Callers' keys. `digest` is SHA-256 of the secret; `allowed` is JSON: scopes, models, rates, budget. A revoked one
-- stays, so that what it did has a name. Times are in seconds of the epoch.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    allowed BLOB NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL
);
"""

_MCP_SERVERS = """
-- The MCP servers of a key. The definition is JSON and holds secrets. Those that are wanted are connected, and again
-- after a restart.
CREATE TABLE mcp_servers (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    definition BLOB NOT NULL,
    wanted INTEGER NOT NULL,
    changed_at REAL NOT NULL,
    PRIMARY KEY (owner, name)
);
"""

_LEDGER = """
-- Every job of every key: one line each. `number` counts the jobs of a request, `model` is the one that answered, or
-- was to. Times are in seconds of the epoch or in milliseconds since the job came, NULL for what never was, also for a
-- cost that is not known. `result`: begun, ok, left, lost, or the kind of its failure.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    dialect TEXT NOT NULL,
    route TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model TEXT NOT NULL,
    session INTEGER NOT NULL,
    tools INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    begun_at REAL NOT NULL,
    queue_ms REAL,
    first_token_ms REAL,
    total_ms REAL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    cost_usd REAL,
    result TEXT NOT NULL
);
CREATE INDEX ledger_by_time ON ledger (begun_at);
CREATE INDEX ledger_by_owner ON ledger (owner, begun_at);
CREATE INDEX ledger_begun ON ledger (id) WHERE result = 'begun';
"""

_TOOL_COUNTS = """
-- How often each key used each of Claude's own tools; `seconds` is the sum over its calls.
CREATE TABLE tool_counts (
    owner TEXT NOT NULL,
    tool TEXT NOT NULL,
    calls INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (owner, tool)
) WITHOUT ROWID;
"""

_RESPONSES_KEPT = """
-- The responses that a key can still ask for, the oldest first: the next ones to go where there is no room.
CREATE INDEX responses_kept ON responses (owner, created_at) WHERE object IS NOT NULL;
-- Those that nobody can ask for, and that are there for later ones.
CREATE INDEX responses_gone ON responses (owner) WHERE object IS NULL;
"""

# A script that was released never changes: databases exist that went through it. What is to change, a new one changes.
SCRIPTS: tuple[str, ...] = (
    *(_SESSIONS, _RESPONSES, _TOOL_CHOICES, _KEYS, _MCP_SERVERS, _LEDGER, _TOOL_COUNTS),
    *(DAILY_SUMS, _RESPONSES_KEPT),
)
