"""Descriptions of the operations with which operators manage API keys (`web/endpoints/admin_keys.py`)."""

from typing import Literal

from claude_gateway.auth.schemas import CreateKeyRequest, UpdateKeyRequest
from claude_gateway.openapi.spec import OperationSpec, Parameter, RequestBodySpec, ResponseModel, ResponseSpec, Tag

KeyStatus = Literal["active", "expired", "revoked"]


class KeyBudgetObject(ResponseModel):
    """The daily budget of an API key. Days are in UTC. A field is null if the key has no such limit."""

    tokens_per_day: int | None
    usd_per_day: float | None


class KeyResponse(ResponseModel):
    """An API key without its secret. Times are in seconds since the epoch."""

    id: str
    name: str
    status: KeyStatus
    scopes: list[str]
    models: list[str]
    requests_per_minute: dict[str, int]
    max_concurrent_jobs: int | None
    budget: KeyBudgetObject
    group: str | None
    login: str | None
    created_at: float
    expires_at: float | None
    revoked_at: float | None


class KeyWithSecretResponse(KeyResponse):
    """An API key with its secret in `key`. No later response repeats the secret."""

    key: str


class KeyListResponse(ResponseModel):
    """A list of all API keys, without their secrets."""

    keys: list[KeyResponse]
    total: int


class RevokeKeyResponse(ResponseModel):
    """The response of the gateway after it revoked an API key."""

    id: str
    status: Literal["revoked"]


_ID = Parameter("id", "The public id of the key.", example="k_abc123")
_KEY = {
    "id": "k_abc123",
    "name": "the editor on my laptop",
    "status": "active",
    "scopes": ["chat"],
    "models": ["claude-haiku-*"],
    "requests_per_minute": {"chat": 60},
    "max_concurrent_jobs": 2,
    "budget": {"tokens_per_day": 1_000_000, "usd_per_day": None},
    "group": "family",
    "login": None,
    "created_at": 1_768_471_800.0,
    "expires_at": None,
    "revoked_at": None,
}
_KEY_WITH_SECRET = {**_KEY, "key": "the key itself"}

LIST_KEYS = OperationSpec(
    Tag.ADMIN,
    "List the API keys",
    {200: ResponseSpec("All API keys, without their secrets.", KeyListResponse, {"keys": [_KEY], "total": 1})},
    error_statuses=(503,),
)
CREATE_KEY = OperationSpec(
    Tag.ADMIN,
    "Create an API key",
    {201: ResponseSpec("The key with its secret, which is shown only once.", KeyWithSecretResponse, _KEY_WITH_SECRET)},
    body=RequestBodySpec(
        CreateKeyRequest,
        {
            "chat key": {"name": "the editor on my laptop"},
            "key with limits": {
                "name": "a guest",
                "models": ["claude-haiku-*"],
                "expires_in_days": 30,
                "requests_per_minute": {"chat": 60},
                "max_concurrent_jobs": 2,
                "budget": {"tokens_per_day": 1_000_000},
                "group": "family",
            },
        },
    ),
    error_statuses=(409, 503),
)
UPDATE_KEY = OperationSpec(
    Tag.ADMIN,
    "Change the limits, the group or the login of an API key",
    {200: ResponseSpec("The key with the changes, without its secret.", KeyResponse, _KEY)},
    parameters=(_ID,),
    body=RequestBodySpec(
        UpdateKeyRequest,
        {
            "limits": {"requests_per_minute": {"chat": 60}, "max_concurrent_jobs": 2},
            "group": {"group": "family"},
            "no group": {"group": None},
            "login": {"login": "account"},
        },
    ),
    error_statuses=(404, 503),
)
REVOKE_KEY = OperationSpec(
    Tag.ADMIN,
    "Revoke an API key",
    {
        200: ResponseSpec(
            "The key is revoked; the gateway rejects it from now on.",
            RevokeKeyResponse,
            {"id": "k_abc123", "status": "revoked"},
        )
    },
    parameters=(_ID,),
    error_statuses=(404, 503),
)
ROTATE_KEY = OperationSpec(
    Tag.ADMIN,
    "Replace the secret of an API key",
    {
        200: ResponseSpec(
            "The key with its new secret, which is shown only once.", KeyWithSecretResponse, _KEY_WITH_SECRET
        )
    },
    parameters=(_ID,),
    error_statuses=(404, 409, 503),
)
