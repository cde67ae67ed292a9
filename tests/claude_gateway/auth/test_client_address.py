"""Addresses of clients behind trusted proxies; headers of untrusted clients do not count."""

import pytest
from multidict import CIMultiDict

from claude_gateway.auth.client_address import client_address, parse_networks

TRUSTED = parse_networks("10.0.0.0/8, 192.0.2.1, fd00::/8")


def address_of(peer: str | None, *headers: tuple[str, str]) -> str:
    return client_address(peer, CIMultiDict(headers), TRUSTED)


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [("x-forwarded-for", "198.51.100.1")], "203.0.113.9"),
        ("203.0.113.9", [("x-real-ip", "198.51.100.1")], "203.0.113.9"),
        ("10.1.1.1", [("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
        ("10.1.1.1", [("X-Real-IP", "198.51.100.1")], "198.51.100.1"),
        ("10.1.1.1", [("x-forwarded-for", "198.51.100.1"), ("x-real-ip", "198.51.100.2")], "198.51.100.1"),
        ("10.1.1.1", [("x-forwarded-for", "1.1.1.1, 198.51.100.1, 192.0.2.1")], "198.51.100.1"),
        ("10.1.1.1", [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
        ("10.1.1.1", [("x-forwarded-for", "10.2.2.2,10.3.3.3")], "10.2.2.2"),
        ("10.1.1.1", [("x-forwarded-for", "198.51.100.1:4711")], "198.51.100.1"),
        ("10.1.1.1", [("x-forwarded-for", "1.1.1.1, nonsense, 10.3.3.3")], "10.3.3.3"),
        ("10.1.1.1", [("x-forwarded-for", "")], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("::ffff:10.1.1.1", [("x-forwarded-for", "::ffff:198.51.100.1")], "198.51.100.1"),
        ("fd00::1", [("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::/64"),
        ("2001:db8:0:0:1:2:3:4", [], "2001:db8::/64"),
        (None, [("x-forwarded-for", "1.1.1.1")], "unknown"),
        ("", [], "unknown"),
    ],
)
def test_client_is_the_last_address_that_is_not_a_trusted_proxy(
    peer: str | None, headers: list[tuple[str, str]], client: str
) -> None:
    assert address_of(peer, *headers) == client


def test_ignores_forwarded_header_without_trusted_proxies() -> None:
    assert client_address("127.0.0.1", CIMultiDict({"x-forwarded-for": "1.1.1.1"}), ()) == "127.0.0.1"


@pytest.mark.parametrize("setting", ["10.0.0.0/33", "10.0.0.1/8", "proxy9.example"])
def test_rejects_invalid_network(setting: str) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        parse_networks(setting)
