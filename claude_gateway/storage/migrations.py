"""SQL scripts that create and change the tables of the database, numbered from 1. No I/O."""

from claude_gateway.storage.daily_sums import CREATE_TRIGGERS_SCRIPT, DAILY_SUMS_SCRIPT, DROP_TRIGGERS_SCRIPT

_SESSIONS = """
-- Sessions of keys. A value of `key` is never reused, so a session that is deleted and created again is another one.
-- `version` grows with each reply. Times are in seconds since the epoch.
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
-- Stored responses of keys. `system` and `turns` are the parts that a response added to its conversation, `parent` is
-- the response that it continues. A row without `object` is a deleted response that later ones continue. Times are in
-- seconds since the epoch.
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
-- The key that signs the thinking blocks that clients store and send back.
CREATE TABLE signing_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL
);
"""

_TOOL_CHOICES = """
-- Built-in tools that a key allows or disallows, for one session or, with session '', for all. Lists are JSON; NULL if
-- the key has not set them.
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
-- API keys. `digest` is the SHA-256 digest of the secret; `allowed` is JSON with scopes, models, rate limits and
-- budget. A revoked key stays, so that usage reports can name it. Times are in seconds since the epoch.
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
-- MCP servers of keys. `definition` is JSON and contains secrets. The gateway connects servers with `wanted`, also
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

_USAGE_RECORDS = """
-- Usage records, one for each job. `number` counts the jobs of a request. `model` is the model that replied, or the
-- requested one. `begun_at` is in seconds since the epoch, the other times are in milliseconds since then; NULL if the
-- event did not happen. `cost_usd` is NULL if the CLI reported no cost. `result` is running, ok, client_disconnected,
-- gateway_exited, or an error code.
CREATE TABLE usage_records (
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
CREATE INDEX usage_records_by_time ON usage_records (begun_at);
CREATE INDEX usage_records_by_key ON usage_records (owner, begun_at);
CREATE INDEX usage_records_running ON usage_records (id) WHERE result = 'running';
"""

_TOOL_COUNTS = """
-- Calls of each built-in tool by key; `seconds` is the total duration of the calls.
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

_RESPONSE_INDEXES = """
-- Responses that a key can retrieve, oldest first: the next ones to be deleted if the key exceeds its limits.
CREATE INDEX responses_kept ON responses (owner, created_at) WHERE object IS NOT NULL;
-- Deleted responses that later ones continue.
CREATE INDEX responses_gone ON responses (owner) WHERE object IS NULL;
"""

_COLUMN_NAMES = f"""
-- Names of columns and indexes that agree with the names in the program. The triggers are created again, because they
-- name the columns.
{DROP_TRIGGERS_SCRIPT}
ALTER TABLE sessions RENAME COLUMN owner TO key_id;
ALTER TABLE responses RENAME COLUMN owner TO key_id;
ALTER TABLE tool_choices RENAME COLUMN owner TO key_id;
ALTER TABLE mcp_servers RENAME COLUMN owner TO key_id;
ALTER TABLE mcp_servers RENAME COLUMN wanted TO auto_connect;
ALTER TABLE usage_records RENAME COLUMN owner TO key_id;
ALTER TABLE usage_records RENAME COLUMN begun_at TO created_at;
ALTER TABLE usage_records RENAME COLUMN model_asked TO requested_model;
ALTER TABLE tool_counts RENAME COLUMN owner TO key_id;
ALTER TABLE usage_days_of_keys RENAME COLUMN owner TO key_id;
ALTER TABLE usage_days RENAME COLUMN owner TO key_id;
{CREATE_TRIGGERS_SCRIPT}
DROP INDEX responses_by_owner;
CREATE INDEX responses_by_key ON responses (key_id, created_at, bytes);
DROP INDEX responses_kept;
CREATE INDEX responses_visible ON responses (key_id, created_at) WHERE object IS NOT NULL;
DROP INDEX responses_gone;
CREATE INDEX responses_hidden ON responses (key_id) WHERE object IS NULL;
"""

_USAGE_LOGINS = """
-- The login with which a job ran last; '' if the job did not run.
ALTER TABLE usage_records ADD COLUMN login TEXT NOT NULL DEFAULT '';
"""

# Never change a script after its release, because a gateway does not run it again on existing databases. Add a new
# script for each change of the schema.
MIGRATIONS: tuple[str, ...] = (
    *(_SESSIONS, _RESPONSES, _TOOL_CHOICES, _KEYS, _MCP_SERVERS, _USAGE_RECORDS, _TOOL_COUNTS),
    *(DAILY_SUMS_SCRIPT, _RESPONSE_INDEXES, _COLUMN_NAMES, _USAGE_LOGINS),
)
