"""What each path demands of a key, and with which others its requests are counted: one table.

A path that is not in it is for the scope `admin` alone, so that none is open because somebody forgot it. Open paths
(`admission.OPEN_PATHS`) need no key; theirs says only how they are counted.
"""

from dataclasses import dataclass

from claude_gateway.access.wanted_key import Group

_PREFIXES = ("/v1/v1", "/v1beta", "/v1")


@dataclass(frozen=True, slots=True)
class Rule:
    """`scope` None: any key will do. `group` None: not counted."""

    group: Group | None
    scope: str | None


UNLISTED = Rule("general", "admin")
NO_SUCH_PATH = Rule("general", None)
_FREE = Rule(None, None)
_JOB = Rule("chat", "chat")
_COUNT = Rule("count", "chat")

# By the beginning of the path as it is routed, without /v1; the first that fits counts.
_RULES: tuple[tuple[str, str, Rule], ...] = (
    ("POST", "/chat/completions", _JOB),
    ("POST", "/responses/{id}", Rule("general", "chat")),
    ("POST", "/responses", _JOB),
    ("*", "/responses", Rule("general", "chat")),
    ("POST", "/messages/count_tokens", _COUNT),
    ("POST", "/messages", _JOB),
    ("POST", "/{collection}/{call}", _JOB),
    ("*", "/models", _FREE),
    ("*", "/sessions/{id}/files", Rule("session", "tools")),
    ("*", "/sessions", Rule("session", "chat")),
    ("*", "/tools", Rule("general", "tools")),
    ("*", "/mcp", Rule("general", "mcp")),
    ("*", "/compatibility", Rule("general", "chat")),
    ("*", "/debug", Rule("debug", "chat")),
    ("*", "/auth", Rule("auth", None)),
    ("*", "/usage", Rule("general", None)),
    ("*", "/admin", Rule("general", "admin")),
    ("*", "/metrics", Rule(None, "admin")),
    ("*", "/health", Rule("health", None)),
    ("*", "/version", Rule("health", None)),
    ("*", "/static", _FREE),
    ("*", "/docs", _FREE),
    ("*", "/redoc", _FREE),
    ("*", "/openapi.json", _FREE),
)


def rule_for(method: str, routed: str, path: str) -> Rule:
    """`routed` is the path as it stands in the table of routes, `path` as it was asked for."""
    if routed == "/":
        return _FREE
    prefix = next((one for one in _PREFIXES if routed.startswith(f"{one}/")), "")
    routed = routed.removeprefix(prefix)
    for of_method, beginning, rule in _RULES:
        if of_method in ("*", method) and (routed == beginning or routed.startswith(f"{beginning}/")):
            # Google has the method behind a colon.
            return _COUNT if rule is _JOB and path.endswith(":countTokens") else rule
    return UNLISTED
