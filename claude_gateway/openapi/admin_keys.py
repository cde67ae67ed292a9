"""What `web/admin_keys.py` takes and answers."""

from typing import Literal

from claude_gateway.access.wanted_key import WantedKey
from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Operation, Parameter

KeyStatus = Literal["active", "expired", "revoked"]


class KeyBudget(Answered):
    tokens_per_day: int | None
    usd_per_day: float | None


class KeyAnswer(Answered):
    """Times are in seconds of the epoch."""

    id: str
    name: str
    status: KeyStatus
    scopes: list[str]
    models: list[str]
    per_minute: dict[str, int]
    concurrent: int | None
    budget: KeyBudget
    created_at: float
    expires_at: float | None
    revoked_at: float | None


class NewKeyAnswer(KeyAnswer):
    """`key` is what its callers send, shown this once."""

    key: str


class KeysAnswer(Answered):
    keys: list[KeyAnswer]
    total: int


class RevokedAnswer(Answered):
    id: str
    status: Literal["revoked"]


_ID = Parameter("id", "The public id of the key.", example="k_abc123")
_KEY = {
    "id": "k_abc123",
    "name": "the editor on my laptop",
    "status": "active",
    "scopes": ["chat"],
    "models": ["claude-haiku-*"],
    "per_minute": {"chat": 60},
    "concurrent": 2,
    "budget": {"tokens_per_day": 1_000_000, "usd_per_day": None},
    "created_at": 1_768_471_800.0,
    "expires_at": None,
    "revoked_at": None,
}
_NEW = {**_KEY, "key": "the key itself"}

OPERATIONS = (
    Operation(
        "get",
        "/v1/admin/keys",
        Group.ADMIN,
        "The keys of this gateway",
        {200: Answer("All of them, without their secrets.", KeysAnswer, {"keys": [_KEY], "total": 1})},
        errors=(503,),
    ),
    Operation(
        "post",
        "/v1/admin/keys",
        Group.ADMIN,
        "Make a key",
        {201: Answer("The key, shown this once.", NewKeyAnswer, _NEW)},
        body=Body(
            WantedKey,
            {
                "for chats": {"name": "the editor on my laptop"},
                "bounded": {
                    "name": "a guest",
                    "models": ["claude-haiku-*"],
                    "expires_in_days": 30,
                    "per_minute": {"chat": 60},
                    "concurrent": 2,
                    "budget": {"tokens_per_day": 1_000_000},
                },
            },
        ),
        errors=(409, 503),
    ),
    Operation(
        "delete",
        "/v1/admin/keys/{id}",
        Group.ADMIN,
        "Revoke a key, at once",
        {200: Answer("It opens nothing any more.", RevokedAnswer, {"id": "k_abc123", "status": "revoked"})},
        parameters=(_ID,),
        errors=(404, 503),
    ),
    Operation(
        "post",
        "/v1/admin/keys/{id}/rotate",
        Group.ADMIN,
        "Give a key another secret",
        {200: Answer("The key, shown this once.", NewKeyAnswer, _NEW)},
        parameters=(_ID,),
        errors=(404, 409, 503),
    ),
)
