"""Who is let in, with a key and without one."""

import os
from collections.abc import Mapping

import pytest
from multidict import CIMultiDict

from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.keys import FIRST_KEY_COMMAND, LOCAL, Key, StoredKey
from claude_gateway.errors import ApiError

SECRET = "s3cr3t-key"
RING = KeyRing(SECRET)
NO_KEY = KeyRing(None)
LOCAL_HOST = {"host": "localhost:8000"}


def identify(ring: KeyRing, headers: Mapping[str, str], peer: str | None = "203.0.113.9") -> Key:
    return ring.identify(CIMultiDict(headers), peer)


def refused(ring: KeyRing, headers: Mapping[str, str], peer: str | None = "203.0.113.9") -> ApiError:
    with pytest.raises(ApiError) as raised:
        identify(ring, headers, peer)
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
def test_the_key_opens_in_any_of_its_headers(headers: dict[str, str]) -> None:
    assert identify(RING, headers).id == "environment"


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
def test_anything_but_the_key_is_refused(headers: dict[str, str]) -> None:
    error = refused(RING, headers)

    assert error.code == "invalid_api_key"
    assert SECRET not in error.message


def test_a_caller_from_the_machine_itself_needs_the_key_where_there_is_one() -> None:
    refused(RING, LOCAL_HOST, peer="127.0.0.1")


@pytest.mark.parametrize("raw", ["schlüssel".encode(), b"\xff\xfe-bytes"])
def test_a_key_of_any_bytes_is_compared_as_bytes(raw: bytes) -> None:
    ring = KeyRing(os.fsdecode(raw))  # as the environment gives it
    sent = raw.decode("utf-8", "surrogateescape")  # as a header gives it

    assert identify(ring, {"x-api-key": sent}).id == "environment"
    refused(ring, {"x-api-key": sent + "x"})


@pytest.mark.parametrize("blank", [None, ""])
def test_a_blank_key_is_no_key(blank: str | None) -> None:
    assert identify(KeyRing(blank), LOCAL_HOST, "127.0.0.1") is LOCAL
    refused(KeyRing(blank), LOCAL_HOST)


def test_the_id_of_a_key_does_not_hold_the_key() -> None:
    assert SECRET not in repr(identify(RING, {"x-api-key": SECRET}))
    assert SECRET not in repr(vars(RING))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_without_a_key_a_direct_caller_of_this_machine_is_served(peer: str, host: str) -> None:
    assert identify(NO_KEY, {"host": host}, peer) is LOCAL


@pytest.mark.promise("keys.none-local-only")
@pytest.mark.parametrize("peer", ["192.168.1.5", "203.0.113.9", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0", "", None])
def test_without_a_key_nobody_else_is_served(peer: str | None) -> None:
    error = refused(NO_KEY, LOCAL_HOST, peer)

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
def test_without_a_key_nobody_behind_a_proxy_is_served(name: str) -> None:
    refused(NO_KEY, {**LOCAL_HOST, name: "127.0.0.1"}, peer="127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.1.1", "["],
)
def test_without_a_key_a_foreign_host_is_refused(host: str) -> None:
    refused(NO_KEY, {"host": host}, peer="127.0.0.1")


def test_without_a_key_a_request_without_host_is_refused() -> None:
    refused(NO_KEY, {}, peer="127.0.0.1")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "file://", "http://[", "http://localhost.evil"])
def test_without_a_key_a_page_from_elsewhere_is_refused(origin: str) -> None:
    refused(NO_KEY, {**LOCAL_HOST, "origin": origin}, peer="127.0.0.1")


@pytest.mark.parametrize("name", ["origin", "referer"])
def test_without_a_key_the_gateways_own_page_is_served(name: str) -> None:
    assert identify(NO_KEY, {**LOCAL_HOST, name: "http://localhost:8000"}, peer="127.0.0.1") is LOCAL
    assert identify(NO_KEY, {**LOCAL_HOST, name: "http://localhost:8000/?a=b"}, peer="127.0.0.1") is LOCAL


@pytest.mark.parametrize("name", ["origin", "referer"])
@pytest.mark.parametrize(
    "page",
    ["http://localhost:3000", "http://127.0.0.1:8000", "https://[::1]:8443", "http://localhost:8000@x/", "null", ""],
)
def test_without_a_key_a_page_of_another_port_of_this_machine_is_refused(name: str, page: str) -> None:
    refused(NO_KEY, {**LOCAL_HOST, name: page}, peer="127.0.0.1")


@pytest.mark.parametrize("scope", ["tools", "mcp", "admin"])
def test_without_a_key_a_caller_of_this_machine_may_only_chat_and_is_told_how_to_make_a_key(scope: str) -> None:
    caller = identify(NO_KEY, LOCAL_HOST, "127.0.0.1")
    caller.require("chat")

    with pytest.raises(ApiError) as caught:
        caller.require(scope)

    assert (caught.value.status, caught.value.code) == (401, "api_key_not_configured")
    assert FIRST_KEY_COMMAND in caught.value.message
    assert not NO_KEY.may(LOCAL.id, scope)


def test_without_a_key_old_http_is_not_served_since_nginx_speaks_it_by_default() -> None:
    assert NO_KEY.identify(CIMultiDict(LOCAL_HOST), "127.0.0.1") is LOCAL
    with pytest.raises(ApiError):
        NO_KEY.identify(CIMultiDict(LOCAL_HOST), "127.0.0.1", http_1_0=True)
    assert RING.identify(CIMultiDict({"x-api-key": SECRET}), "127.0.0.1", http_1_0=True).id == "environment"


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
def test_without_a_key_no_foreign_page_is_served_however_it_dresses(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError):
        NO_KEY.identify(CIMultiDict(headers), "127.0.0.1")


def test_a_key_does_what_its_scopes_say() -> None:
    Key("all").require("tools")
    with pytest.raises(ApiError) as caught:
        Key("few", frozenset({"chat"})).require("tools")
    assert (caught.value.status, caught.value.code) == (403, "missing_scope")


class Held:
    changes = 1

    async def held(self) -> tuple[bool, list[StoredKey]]:
        return True, [
            StoredKey(Key("a", frozenset({"chat", "mcp"})), b"d" * 32, 0.0),
            StoredKey(Key("b", frozenset({"chat"})), b"d" * 32, 0.0),
            StoredKey(Key("c"), b"d" * 32, 0.0, expires_at=10.0),
        ]


async def test_between_its_requests_a_key_may_what_it_may_in_them() -> None:
    stored = KeyRing(None, Held(), now=lambda: 11.0)
    await stored.follow()

    assert [stored.may(id_, "mcp") for id_ in ("a", "b", "c", "gone", "local", "environment")] == [True, *[False] * 5]
    assert (RING.may("environment", "mcp"), RING.may("local", "mcp")) == (True, False)
    assert (NO_KEY.may("environment", "mcp"), NO_KEY.may("local", "mcp")) == (False, False)


async def test_a_key_is_looked_at_again_as_it_stands_now() -> None:
    now = 1_000.0
    stored = StoredKey(Key("0" * 12), b"old", 0.0, 2_000.0)
    held = [stored]

    class Source:
        changes = 0

        async def held(self) -> tuple[bool, list[StoredKey]]:
            return True, held

    source = Source()
    ring = KeyRing(None, source, lambda: now)
    await ring.follow()
    assert ring.current("0" * 12, b"old") == ring.current("0" * 12) == stored.key

    for credential in (b"new", b"ol"):
        with pytest.raises(ApiError, match="invalid"):
            ring.current("0" * 12, credential)
    for other in ("1" * 12, LOCAL.id, "environment"):
        with pytest.raises(ApiError, match="invalid"):
            ring.current(other)
    now = 2_000.0
    with pytest.raises(ApiError, match="expired"):
        ring.current("0" * 12)


def test_a_caller_without_a_key_is_let_in_again_while_there_is_none() -> None:
    assert NO_KEY.current(LOCAL.id) == LOCAL
    with pytest.raises(ApiError):
        RING.current(LOCAL.id)


def test_what_a_caller_brought_is_known_by_its_digest_alone() -> None:
    key = identify(RING, {"x-api-key": SECRET})

    assert RING.current(key.id, key.credential) == key
    assert SECRET not in repr(key)
    with pytest.raises(ApiError):
        KeyRing("another").current(key.id, key.credential)
    assert (NO_KEY.may("environment", "mcp"), NO_KEY.may("local", "mcp")) == (False, False)
