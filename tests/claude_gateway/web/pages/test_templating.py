"""Rendering of the home page, and its table of strings."""

import re
from importlib.resources import files

import orjson
import pytest

from claude_gateway.web.pages.templating import LANGUAGES, add_root_attributes, choose_language, render_page
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS

STATIC = files("claude_gateway.web.pages").joinpath("static")
STRINGS = orjson.loads(STATIC.joinpath("strings.json").read_bytes())
SOURCES = [file.read_text() for file in STATIC.iterdir() if file.name.endswith((".html", ".js"))]
ARABIC = re.compile("[\u0600-\u06ff]")
# Keys of names that are the same in both languages.
SAME_IN_BOTH = {"chat.claude", "group.MCP", "method.aws_bedrock", "method.google_vertex"}


@pytest.mark.promise("pages.two-languages")
def test_every_string_exists_in_both_languages() -> None:
    for key, texts in STRINGS.items():
        assert texts.keys() == set(LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert ARABIC.search(texts["ar"]) or key in {*SAME_IN_BOTH, "language.other"}, key


def test_placeholders_are_equal_in_both_languages() -> None:
    for key, texts in STRINGS.items():
        assert len({frozenset(re.findall(r"{(\w+)}", text)) for text in texts.values()}) == 1, key


def test_every_string_is_used_and_every_used_one_exists() -> None:
    source = "\n".join(SOURCES)
    families = {key.partition(".")[0] for key in STRINGS}
    composed = set(re.findall(r"`(\w+)\.\$\{", source))
    named = {key for key in re.findall(r"[\"'`](\w+\.\w+)[\"'`]", source) if key.partition(".")[0] in families}

    assert {key for key in STRINGS if key not in named and key.partition(".")[0] not in composed} == set()
    assert named <= STRINGS.keys()


def test_every_operation_is_described_in_both_languages() -> None:
    described = {key.removeprefix("op.") for key in STRINGS if key.startswith("op.")}

    assert described == {f"{operation.method.upper()} {operation.path}" for operation in OPERATIONS}


def test_escapes_texts_and_attributes() -> None:
    strings = {"a": {"en": "<b> & more"}, "b": {"en": 'say "hi"'}}
    template = '<p class="x" data-text="a" id="p"></p><input data-hint="b">'

    assert render_page(template, strings, "en") == (
        '<p class="x" data-text="a" id="p">&lt;b&gt; &amp; more</p>'
        '<input data-hint="b" placeholder="say &quot;hi&quot;">'
    )


def test_root_element_has_language_direction_and_data_attributes() -> None:
    assert (
        add_root_attributes("<html><p>", "ar", {"model": '"x'}) == '<html lang="ar" dir="rtl" data-model="&quot;x"><p>'
    )


@pytest.mark.parametrize(
    ("requested", "saved", "accept_language", "language"),
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
def test_chooses_requested_then_saved_then_first_accepted_language(
    requested: str | None, saved: str | None, accept_language: str, language: str
) -> None:
    assert choose_language(requested, saved, accept_language) == language
