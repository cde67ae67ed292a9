"""Format of API keys: unique to the gateway, with a checksum, and random."""

import re

import pytest

from claude_gateway.auth.key_format import hash_secret, new_key_id, new_secret, parse_key_id

SECRET = new_secret("0123456789ab")


def test_key_contains_its_id() -> None:
    assert parse_key_id(SECRET) == "0123456789ab"


def test_key_has_a_format_that_secret_scanners_can_recognize() -> None:
    assert re.fullmatch(r"cgw_[0-9a-f]{12}_[0-9a-f]{56}", new_secret(new_key_id()))


def test_generated_keys_are_unique() -> None:
    assert len({new_secret("0123456789ab") for _ in range(100)}) == len({new_key_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "cgw_",
        SECRET[:-1],
        SECRET + "0",
        SECRET.upper(),
        f" {SECRET}",
        SECRET[:-1] + "g",
        "cgw_0123456789ab_" + "0" * 56,
        SECRET[:20] + ("0" if SECRET[20] != "0" else "1") + SECRET[21:],
        "\udcff" * 73,
    ],
    # The ids are the same in every test process; the secret is not.
    ids=range(10),
)
def test_finds_no_id_in_invalid_keys(secret: str) -> None:
    assert parse_key_id(secret) is None


def test_digest_is_not_the_key() -> None:
    assert SECRET.encode() not in hash_secret(SECRET)
    assert len(hash_secret(SECRET)) == 32
