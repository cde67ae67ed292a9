"""Authentication of requests with and without an API key."""

import os
from collections.abc import Mapping

import pytest
from multidict import CIMultiDict

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.models import FIRST_KEY_COMMAND, LOCAL_KEY, ApiKey, StoredKey
from claude_gateway.core.errors import ApiError

SECRET = "s3cr3t-key"
AUTHENTICATOR = Authenticator(SECRET)
KEYLESS = Authenticator(None)
LOCAL_HOST = {"host": "localhost:8000"}


def authenticate(authenticator: Authenticator, headers: Mapping[str, str], peer: str | None = "203.0.113.9") -> ApiKey:
    return authenticator.authenticate(CIMultiDict(headers), peer)


def assert_rejected(
    authenticator: Authenticator, headers: Mapping[str, str], peer: str | None = "203.0.113.9"
) -> ApiError:
    with pytest.raises(ApiError) as raised:
        authenticate(authenticator, headers, peer)
    assert (raised.value.status, raised.value.type) == (401, "authentication_error")
    return raised.value


@pytest.mark.promise("keys.headers")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {SECRET}"},
        {"authorization": f"bearer {SECRET}"},
        {"AUTHORIZATION": f"BEARER   {SECRET} "},
        {"x-api-key": SECRET},
        {"X-Api-Key": SECRET},
        {"x-goog-api-key": SECRET},
        {"authorization": "Basic abc", "x-api-key": SECRET},
        {"authorization": "Bearer a-placeholder", "x-api-key": SECRET},
    ],
)
def test_accepts_key_in_each_supported_header(headers: dict[str, str]) -> None:
    assert authenticate(AUTHENTICATOR, headers).id == "environment"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": SECRET},
        {"authorization": f"Basic {SECRET}"},
        {"authorization": f"Bearer {SECRET}x"},
        {"authorization": f"Bearer {SECRET[:-1]}"},
        {"authorization": f"Bearer {SECRET.upper()}"},
        {"x-api-key": ""},
        {"x-api-key": "\udcff\udcfe"},
        {"cookie": f"x-api-key={SECRET}"},
    ],
)
def test_rejects_missing_or_wrong_key(headers: dict[str, str]) -> None:
    error = assert_rejected(AUTHENTICATOR, headers)

    assert error.code == "invalid_api_key"
    assert SECRET not in error.message


def test_rejects_local_client_without_the_key_if_there_is_one() -> None:
    assert_rejected(AUTHENTICATOR, LOCAL_HOST, peer="127.0.0.1")


@pytest.mark.parametrize("raw", ["schlüssel".encode(), b"\xff\xfe-bytes"])
def test_accepts_keys_of_any_bytes(raw: bytes) -> None:
    authenticator = Authenticator(os.fsdecode(raw))  # as Python reads it from the environment
    secret = raw.decode("utf-8", "surrogateescape")  # as aiohttp reads it from a header

    assert authenticate(authenticator, {"x-api-key": secret}).id == "environment"
    assert_rejected(authenticator, {"x-api-key": secret + "x"})


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_environment_key_counts_as_missing(blank: str | None) -> None:
    assert authenticate(Authenticator(blank), LOCAL_HOST, "127.0.0.1") is LOCAL_KEY
    assert_rejected(Authenticator(blank), LOCAL_HOST)


def test_key_id_does_not_contain_the_key() -> None:
    assert SECRET not in repr(authenticate(AUTHENTICATOR, {"x-api-key": SECRET}))
    assert SECRET not in repr(vars(AUTHENTICATOR))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_without_a_key_accepts_direct_local_clients(peer: str, host: str) -> None:
    assert authenticate(KEYLESS, {"host": host}, peer) is LOCAL_KEY


@pytest.mark.promise("keys.none-local-only")
@pytest.mark.parametrize("peer", ["192.168.1.5", "203.0.113.9", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0", "", None])
def test_without_a_key_rejects_other_clients(peer: str | None) -> None:
    error = assert_rejected(KEYLESS, LOCAL_HOST, peer)

    assert error.code == "api_key_not_configured"
    assert "API_KEY=$(openssl rand -hex 32)" in error.message


@pytest.mark.parametrize(
    "name",
    [
        *("forwarded", "Via", "X-Forwarded-For", "x-forwarded-host", "x-forwarded-proto", "X-Real-IP", "X-Forwarded"),
        *("x-forwarded-port", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Original-Forwarded-For"),
        *("Tailscale-User-Login", "X-Cluster-Client-Ip"),
    ],
)
def test_without_a_key_rejects_clients_behind_a_proxy(name: str) -> None:
    assert_rejected(KEYLESS, {**LOCAL_HOST, name: "127.0.0.1"}, peer="127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.1.1", "["],
)
def test_without_a_key_rejects_foreign_host_header(host: str) -> None:
    assert_rejected(KEYLESS, {"host": host}, peer="127.0.0.1")


def test_without_a_key_rejects_request_without_host() -> None:
    assert_rejected(KEYLESS, {}, peer="127.0.0.1")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "file://", "http://[", "http://localhost.evil"])
def test_without_a_key_rejects_pages_of_other_sites(origin: str) -> None:
    assert_rejected(KEYLESS, {**LOCAL_HOST, "origin": origin}, peer="127.0.0.1")


@pytest.mark.parametrize("name", ["origin", "referer"])
def test_without_a_key_accepts_pages_of_the_gateway(name: str) -> None:
    assert authenticate(KEYLESS, {**LOCAL_HOST, name: "http://localhost:8000"}, peer="127.0.0.1") is LOCAL_KEY
    assert authenticate(KEYLESS, {**LOCAL_HOST, name: "http://localhost:8000/?a=b"}, peer="127.0.0.1") is LOCAL_KEY


@pytest.mark.parametrize("name", ["origin", "referer"])
@pytest.mark.parametrize(
    "page",
    ["http://localhost:3000", "http://127.0.0.1:8000", "https://[::1]:8443", "http://localhost:8000@x/", "null", ""],
)
def test_without_a_key_rejects_page_of_another_local_port(name: str, page: str) -> None:
    assert_rejected(KEYLESS, {**LOCAL_HOST, name: page}, peer="127.0.0.1")


@pytest.mark.parametrize("scope", ["tools", "mcp", "admin"])
def test_without_a_key_local_client_may_only_chat_and_error_shows_how_to_create_a_key(scope: str) -> None:
    key = authenticate(KEYLESS, LOCAL_HOST, "127.0.0.1")
    key.require_scope("chat")

    with pytest.raises(ApiError) as caught:
        key.require_scope(scope)

    assert (caught.value.status, caught.value.code) == (401, "api_key_not_configured")
    assert FIRST_KEY_COMMAND in caught.value.message
    assert not KEYLESS.has_scope(LOCAL_KEY.id, scope)


def test_without_a_key_rejects_http_1_0_which_nginx_uses_by_default() -> None:
    assert KEYLESS.authenticate(CIMultiDict(LOCAL_HOST), "127.0.0.1") is LOCAL_KEY
    with pytest.raises(ApiError):
        KEYLESS.authenticate(CIMultiDict(LOCAL_HOST), "127.0.0.1", is_http_1_0=True)
    assert (
        AUTHENTICATOR.authenticate(CIMultiDict({"x-api-key": SECRET}), "127.0.0.1", is_http_1_0=True).id
        == "environment"
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "localhost"), ("sec-fetch-site", "cross-site")],
        [("host", "localhost"), ("sec-fetch-site", "same-site")],
        [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")],
        [("host", "evil.example@localhost")],
    ],
    ids=str,
)
def test_without_a_key_rejects_foreign_page_with_any_headers(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError):
        KEYLESS.authenticate(CIMultiDict(headers), "127.0.0.1")


def test_key_of_the_environment_has_the_group_of_the_settings() -> None:
    authenticator = Authenticator(SECRET, api_key_group="family")
    key = authenticate(authenticator, {"x-api-key": SECRET})

    authenticator.set_environment_key(SECRET, "team")

    assert key.group == "family"
    assert authenticate(authenticator, {"x-api-key": SECRET}).group == "team"
    assert authenticator.recheck_key(key.id, key.credential).group == "team"


def test_key_of_local_clients_is_in_no_group() -> None:
    authenticator = Authenticator(None, api_key_group="family")

    assert authenticate(authenticator, LOCAL_HOST, "127.0.0.1").group == ""


def test_key_is_limited_to_its_scopes() -> None:
    ApiKey("all").require_scope("tools")
    with pytest.raises(ApiError) as caught:
        ApiKey("few", frozenset({"chat"})).require_scope("tools")
    assert (caught.value.status, caught.value.code) == (403, "missing_scope")


class FakeKeySource:
    version = 1

    async def load_active_keys(self) -> tuple[bool, list[StoredKey]]:
        return True, [
            StoredKey(ApiKey("a", frozenset({"chat", "mcp"})), b"d" * 32, 0.0),
            StoredKey(ApiKey("b", frozenset({"chat"})), b"d" * 32, 0.0),
            StoredKey(ApiKey("c"), b"d" * 32, 0.0, expires_at=10.0),
        ]


async def test_has_scope_only_for_active_keys_that_have_it() -> None:
    stored = Authenticator(None, FakeKeySource(), now=lambda: 11.0)
    await stored.refresh()

    assert [stored.has_scope(id_, "mcp") for id_ in ("a", "b", "c", "gone", "local", "environment")] == [
        True,
        *[False] * 5,
    ]
    assert (AUTHENTICATOR.has_scope("environment", "mcp"), AUTHENTICATOR.has_scope("local", "mcp")) == (True, False)
    assert (KEYLESS.has_scope("environment", "mcp"), KEYLESS.has_scope("local", "mcp")) == (False, False)


async def test_recheck_uses_the_present_state_of_the_key() -> None:
    now = 1_000.0
    stored = StoredKey(ApiKey("0" * 12), b"old", 0.0, 2_000.0)
    active_keys = [stored]

    class Source:
        version = 0

        async def load_active_keys(self) -> tuple[bool, list[StoredKey]]:
            return True, active_keys

    source = Source()
    authenticator = Authenticator(None, source, lambda: now)
    await authenticator.refresh()
    assert authenticator.recheck_key("0" * 12, b"old") == authenticator.recheck_key("0" * 12) == stored.key

    for credential in (b"new", b"ol"):
        with pytest.raises(ApiError, match="invalid"):
            authenticator.recheck_key("0" * 12, credential)
    for other in ("1" * 12, LOCAL_KEY.id, "environment"):
        with pytest.raises(ApiError, match="invalid"):
            authenticator.recheck_key(other)
    now = 2_000.0
    with pytest.raises(ApiError, match="expired"):
        authenticator.recheck_key("0" * 12)


def test_recheck_accepts_local_client_while_there_is_no_key() -> None:
    assert KEYLESS.recheck_key(LOCAL_KEY.id) == LOCAL_KEY
    with pytest.raises(ApiError):
        AUTHENTICATOR.recheck_key(LOCAL_KEY.id)


def test_stores_only_the_digest_of_a_credential() -> None:
    key = authenticate(AUTHENTICATOR, {"x-api-key": SECRET})

    assert AUTHENTICATOR.recheck_key(key.id, key.credential) == key
    assert SECRET not in repr(key)
    with pytest.raises(ApiError):
        Authenticator("another").recheck_key(key.id, key.credential)
    assert (KEYLESS.has_scope("environment", "mcp"), KEYLESS.has_scope("local", "mcp")) == (False, False)
