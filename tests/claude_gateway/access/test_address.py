"""The caller behind proxies that are believed, and nobody else's word for it."""

import pytest
from multidict import CIMultiDict

from claude_gateway.access.address import counted_address, read_networks

TRUSTED = read_networks("10.0.0.0/8, 192.0.2.1, fd00::/8")


def counted(peer: str | None, *headers: tuple[str, str]) -> str:
    return counted_address(peer, CIMultiDict(headers), TRUSTED)


@pytest.mark.parametrize(
    ("peer", "headers", "caller"),
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
def test_the_caller_is_the_last_that_is_no_proxy_of_ours(
    peer: str | None, headers: list[tuple[str, str]], caller: str
) -> None:
    assert counted(peer, *headers) == caller


def test_nobody_s_word_is_taken_where_no_proxy_is_named() -> None:
    assert counted_address("127.0.0.1", CIMultiDict({"x-forwarded-for": "1.1.1.1"}), ()) == "127.0.0.1"


@pytest.mark.parametrize("setting", ["10.0.0.0/33", "10.0.0.1/8", "proxy9.example"])
def test_what_is_no_network_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        read_networks(setting)
