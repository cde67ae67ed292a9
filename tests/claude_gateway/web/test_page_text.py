"""The home page as text, and the table of its strings."""

import re
from importlib.resources import files

import orjson
import pytest

from claude_gateway.openapi.operations import OPERATIONS
from claude_gateway.web.page_text import LANGUAGES, choose_language, page, with_root

STATIC = files("claude_gateway.web").joinpath("static")
STRINGS = orjson.loads(STATIC.joinpath("strings.json").read_bytes())
SOURCES = [file.read_text() for file in STATIC.iterdir() if file.name.endswith((".html", ".js"))]
ARABIC = re.compile("[\u0600-\u06ff]")
# Names that stand as they are in every language.
SAME_IN_BOTH = {"chat.claude", "group.MCP", "method.aws_bedrock", "method.google_vertex"}


@pytest.mark.promise("pages.two-languages")
def test_every_string_is_there_in_both_languages() -> None:
    for key, one in STRINGS.items():
        assert one.keys() == set(LANGUAGES), key
        assert all(text.strip() for text in one.values()), key
        assert ARABIC.search(one["ar"]) or key in {*SAME_IN_BOTH, "language.other"}, key


def test_what_is_filled_in_is_the_same_in_both_languages() -> None:
    for key, one in STRINGS.items():
        assert len({frozenset(re.findall(r"{(\w+)}", text)) for text in one.values()}) == 1, key


def test_every_string_is_used_and_every_one_used_is_there() -> None:
    source = "\n".join(SOURCES)
    families = {key.partition(".")[0] for key in STRINGS}
    put_together = set(re.findall(r"`(\w+)\.\$\{", source))
    named = {key for key in re.findall(r"[\"'`](\w+\.\w+)[\"'`]", source) if key.partition(".")[0] in families}

    assert {key for key in STRINGS if key not in named and key.partition(".")[0] not in put_together} == set()
    assert named <= STRINGS.keys()


def test_every_operation_is_told_of_in_both_languages() -> None:
    told = {key.removeprefix("op.") for key in STRINGS if key.startswith("op.")}

    assert told == {f"{operation.method.upper()} {operation.path}" for operation in OPERATIONS}


def test_texts_and_attributes_are_put_in_and_cannot_become_markup() -> None:
    strings = {"a": {"en": "<b> & more"}, "b": {"en": 'say "hi"'}}
    template = '<p class="x" data-text="a" id="p"></p><input data-hint="b">'

    assert page(template, strings, "en") == (
        '<p class="x" data-text="a" id="p">&lt;b&gt; &amp; more</p>'
        '<input data-hint="b" placeholder="say &quot;hi&quot;">'
    )


def test_the_root_says_language_direction_and_facts() -> None:
    assert with_root("<html><p>", "ar", {"model": '"x'}) == '<html lang="ar" dir="rtl" data-model="&quot;x"><p>'


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "chosen"),
    [
        (None, None, "", "en"),
        (None, None, "ar-EG,ar;q=0.9,en;q=0.8", "ar"),
        (None, None, "de, ar;q=0.4, en;q=0.6", "en"),
        (None, None, "de, ar;q=0.4, en;q=0", "ar"),
        (None, None, "de", "en"),
        (None, None, ";;q=,,ar;q=x", "ar"),
        (None, None, "*;q=0.1,ar;q=1.1.1", "en"),
        (None, "ar", "en", "ar"),
        ("en", "ar", "ar", "en"),
        ("xx", "<script>", "ar", "ar"),
    ],
)
def test_the_language_is_the_one_asked_for_then_the_one_remembered_then_the_first_accepted(
    asked: str | None, remembered: str | None, accepted: str, chosen: str
) -> None:
    assert choose_language(asked, remembered, accepted) == chosen
