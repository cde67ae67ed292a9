"""The shape of a key: its own, known by its checksum, and nothing that can be guessed."""

import re

import pytest

from claude_gateway.access.secret import digest, id_of, new_id, new_secret

SECRET = new_secret("0123456789ab")


def test_a_key_says_which_one_it_is() -> None:
    assert id_of(SECRET) == "0123456789ab"


def test_a_key_has_the_shape_that_scanners_are_told_of() -> None:
    assert re.fullmatch(r"cgw_[0-9a-f]{12}_[0-9a-f]{56}", new_secret(new_id()))


def test_no_two_are_alike_even_of_one_key() -> None:
    assert len({new_secret("0123456789ab") for _ in range(100)}) == len({new_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "sent",
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
)
def test_what_only_looks_like_one_says_nothing(sent: str) -> None:
    assert id_of(sent) is None


def test_what_is_kept_is_not_the_key() -> None:
    assert SECRET.encode() not in digest(SECRET)
    assert len(digest(SECRET)) == 32
