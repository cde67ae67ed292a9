import pytest

from tests.workers.helpers import assistant_turn, user_turn
from workers.pool.summaries import begins_with_summary

SUMMARY = "".join(f"Step {number} of the work is done. " for number in range(40))


@pytest.mark.parametrize(
    "message", [SUMMARY, f"<summary>{SUMMARY}</summary> Go on.", f"Earlier: {SUMMARY[len(SUMMARY) // 2 :]}"]
)
def test_finds_the_reply_or_its_last_half_in_the_first_message(message: str) -> None:
    assert begins_with_summary(user_turn(message), assistant_turn(SUMMARY))


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ("What is the weather?", SUMMARY),
        (SUMMARY[:100], SUMMARY),
        ("yes", "yes"),
        ("The same words, but another text. " * 40, SUMMARY),
    ],
)
def test_ignores_other_messages_and_short_replies(message: str, reply: str) -> None:
    assert not begins_with_summary(user_turn(message), assistant_turn(reply))
