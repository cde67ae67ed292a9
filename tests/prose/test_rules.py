"""Tests of the rules: each finds its bad examples and nothing in its good ones."""

import pytest

from tests.prose.check import find_hits
from tests.prose.rule import Rule
from tests.prose.rules import RULES
from tests.prose.texts import Kind, ProseText

BAD = [(rule, example) for rule in RULES for example in rule.bad]
GOOD = [(rule, example) for rule in RULES for example in rule.good]
PLAIN = [
    "The doctor says what to do, and where.",
    "Return the workspace of a session, or None if the session has no workspace.",
    "The gateway closes connections whose client stops reading.",
    "Tells the client when to try again.",
    "If the queue is full, the scheduler evicts the newest job of the largest key.",
    "A misbehaving or unavailable server fails the tool call, not the request.",
    "The directory is writable by another user, who could plant pid records or symlinks.",
    "rejects wrong key with 401",
    "The names of the user's tools and the size of each request's body.",
    "What is new? Nothing, where I stand.",
]


@pytest.mark.parametrize(("rule", "example"), BAD, ids=[example for _, example in BAD])
def test_rule_finds_bad_example(rule: Rule, example: str) -> None:
    assert rule.find(example)


@pytest.mark.parametrize(("rule", "example"), GOOD, ids=[example for _, example in GOOD])
def test_rule_accepts_good_example(rule: Rule, example: str) -> None:
    assert not rule.find(example)


@pytest.mark.parametrize("example", PLAIN)
@pytest.mark.parametrize("kind", Kind)
def test_no_rule_finds_anything_in_plain_text(kind: Kind, example: str) -> None:
    assert not [words for _, words, _ in find_hits(ProseText(1, example, kind))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.pattern)
def test_every_rule_says_what_to_write(rule: Rule) -> None:
    assert rule.bad
    assert rule.reason
    assert rule.suggestion
