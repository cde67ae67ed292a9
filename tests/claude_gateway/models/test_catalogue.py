"""Which names are models, which of them are ours to pass on, and who answers to the names of others."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.errors import ApiError
from claude_gateway.models.aliases import DEFAULTS, Alias, read_aliases
from claude_gateway.models.catalogue import LISTED, Catalogue, unknown_model

CATALOGUE = Catalogue.of([])
DEFAULT = "claude-sonnet-4-5-20250929"
HAIKU = "claude-haiku-5-5"
# As the CLI of today reports them.
REPORTED = [
    {"value": "default", "resolvedModel": "claude-opus-5-5"},
    {"value": "opus", "resolvedModel": "claude-opus-5-5"},
    {"value": "fable", "resolvedModel": "claude-fable-5-2"},
    {"value": "haiku", "resolvedModel": HAIKU},
    {"value": LISTED[1], "resolvedModel": LISTED[1]},
]
OUT_OF_THE_BOX = Catalogue.of(REPORTED, DEFAULT, DEFAULTS)


def with_aliases(setting: str) -> Catalogue:
    return Catalogue.of(REPORTED, DEFAULT, read_aliases(setting))


def test_the_listed_models_come_first_then_what_the_cli_reports_each_once() -> None:
    reported = [{"resolvedModel": "claude-new-1"}, {"resolvedModel": LISTED[0]}, {"value": "default"}]

    assert Catalogue.of(reported).ids == (*LISTED, "claude-new-1")


@pytest.mark.promise("models.claude-passed-on")
@pytest.mark.parametrize(
    "name",
    [
        *LISTED,
        "claude-of-tomorrow",
        "claude-sonnet-4-5",
        "claude-3-5-sonnet-20241022",
        "claude-3.5-sonnet",
        "claude-sonnet-4-5@20250929",
        "claude-opus-5[1m]",
        "claude-sonnet-4-5-20250929-v1:0",
        "claude-mini",
    ],
)
@pytest.mark.parametrize("catalogue", [CATALOGUE, OUT_OF_THE_BOX, with_aliases("*=haiku")])
def test_any_claude_name_is_passed_on_as_it_is(catalogue: Catalogue, name: str) -> None:
    assert catalogue.resolve(name) == name


def test_a_name_that_the_cli_reported_is_passed_on_whatever_it_looks_like() -> None:
    name = "eu.anthropic.claude-sonnet"

    assert Catalogue.of([{"resolvedModel": name}]).resolve(name) == name


def test_the_default_model_is_a_model_whatever_it_looks_like() -> None:
    name = "eu.anthropic.claude-sonnet"
    catalogue = Catalogue.of([], name, DEFAULTS)

    assert catalogue.resolve(name) == catalogue.resolve("default") == catalogue.resolve("gpt-5.5") == name
    assert name in catalogue.names


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "", "claude", "claude-", "Claude-x", "claude-\n", "claude-a\x00", "claude-é", f"claude-{'x' * 200}"],
)
def test_any_other_name_is_a_404(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        CATALOGUE.resolve(name)

    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


@pytest.mark.promise("models.aliases")
@pytest.mark.parametrize(
    "name",
    [
        *(
            "gpt-5.5",
            "gpt-5.1-codex",
            "gpt-5-codex",
            "gpt-6-sol",
            "codex-1",
            "gpt-4o",
            "gpt-4.1",
            "gpt-4-turbo",
            "gpt-4",
        ),
        *("o3", "o3-pro", "o1", "o1-preview", "o4", "chatgpt-4o-latest", "gpt-5-xhigh", "gpt-5-fast"),
        *("gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-3-pro-preview"),
        *("gemini-2.5-flash-preview-05-20", "auto", "auto-gemini-3", "default"),
    ],
)
def test_a_big_model_s_name_means_the_default_model(name: str) -> None:
    assert OUT_OF_THE_BOX.resolve(name) == DEFAULT


@pytest.mark.promise("models.aliases")
@pytest.mark.parametrize(
    "name",
    [
        *("gpt-4o-mini", "gpt-4.1-nano", "gpt-5-mini", "gpt-5.1-codex-mini", "codex-mini-latest", "gpt-3.5-turbo"),
        *("o4-mini", "o3-mini-high", "gemini-2.5-flash-lite", "gemini-3.5-flash-lite", "gemini-1.5-flash-8b", "haiku"),
    ],
)
def test_a_small_model_s_name_means_haiku_as_the_cli_knows_it(name: str) -> None:
    assert OUT_OF_THE_BOX.resolve(name) == HAIKU


@pytest.mark.parametrize(("word", "model"), [("opus", "claude-opus-5-5"), ("fable", "claude-fable-5-2")])
def test_the_cli_s_own_words_are_names_too(word: str, model: str) -> None:
    assert OUT_OF_THE_BOX.resolve(word) == model


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("claude-sonnet-4.5", DEFAULT),
        ("claude-4.5-sonnet", DEFAULT),
        ("claude-4.5-sonnet-thinking", DEFAULT),
        ("claude-sonnet-4-5-thinking", DEFAULT),
        ("claude-4.5-opus-high-thinking", LISTED[0]),
        ("claude-opus-4.1", "claude-opus-4-1-20250805"),
        ("claude-4-sonnet", "claude-sonnet-4-20250514"),
        ("claude-haiku-4.5", "claude-haiku-4-5-20251001"),
        ("claude-5.5-haiku-fast", HAIKU),
        ("claude-opus-4.6-max-thinking-fast", "claude-opus-4-6"),
        ("claude-opus-5.5-xhigh", "claude-opus-5-5"),
    ],
)
def test_claude_s_names_as_editors_spell_them_mean_what_they_say(spelled: str, meant: str) -> None:
    assert OUT_OF_THE_BOX.resolve(spelled) == meant


@pytest.mark.parametrize(
    "name", ["llama-4", "deepseek-v3", "gpt", "o5", "text-embedding-3", "grok-4", "Auto", "gpt-\n"]
)
def test_a_name_that_nobody_knows_is_a_404_out_of_the_box_too(name: str) -> None:
    with pytest.raises(ApiError):
        OUT_OF_THE_BOX.resolve(name)


@pytest.mark.parametrize(
    ("setting", "name", "model"),
    [
        ("fast=haiku", "fast", HAIKU),
        ("fast=haiku", "gpt-4o", DEFAULT),
        ("gpt-5*=opus, gpt-*=haiku", "gpt-5.5", "claude-opus-5-5"),
        ("gpt-5*=opus, gpt-*=haiku", "gpt-4o", HAIKU),
        ("gpt-*=haiku, gpt-5*=opus", "gpt-5.5", HAIKU),
        ("*=opus", "llama-4", "claude-opus-5-5"),
        ("*=opus", "gpt-4o-mini", "claude-opus-5-5"),
        ("*=opus", "haiku", HAIKU),
        (f"{LISTED[4]}=opus", LISTED[4], "claude-opus-5-5"),
        ("claude-3-*=claude-haiku-4-5-20251001", "claude-3-5-haiku-20241022", "claude-haiku-4-5-20251001"),
        ("m=us.anthropic.claude-x-v1:0,none", "m", "us.anthropic.claude-x-v1:0"),
        ("m=arn:aws:bedrock:eu-west-1:1:inference-profile/x", "m", "arn:aws:bedrock:eu-west-1:1:inference-profile/x"),
        ("a.c=haiku", "a.c", HAIKU),
    ],
)
def test_the_first_alias_that_fits_counts_and_the_operator_s_own_come_first(
    setting: str, name: str, model: str
) -> None:
    assert with_aliases(setting).resolve(name) == model


@pytest.mark.parametrize(
    ("setting", "name"), [("none", "gpt-4o"), ("fast=haiku, none", "gpt-4o"), ("a.c=haiku", "abc")]
)
def test_none_switches_the_defaults_off_and_a_dot_is_a_dot(setting: str, name: str) -> None:
    with pytest.raises(ApiError):
        with_aliases(setting).resolve(name)


@pytest.mark.parametrize("entry", ["fast", "=haiku", "fast=", "a=b=c", "none", "a b=haiku", "a=é", "=", "a==b"])
def test_an_entry_that_is_none_is_named_by_its_number(entry: str) -> None:
    with pytest.raises(ValueError, match="entry 2 is not `pattern=model`"):
        read_aliases(f"one=haiku, {entry}, three=haiku")


@pytest.mark.parametrize("target", ["gpt-5", "hiaku", "none", "Opus"])
def test_an_alias_for_no_model_is_named_at_the_start(target: str) -> None:
    with pytest.raises(ValueError, match="the alias gpt-4o names no model"):
        Catalogue.of(REPORTED, DEFAULT, (Alias("gpt-4o", target),))


def test_every_default_is_for_a_model_even_where_the_cli_reports_none() -> None:
    assert Catalogue.of([], DEFAULT, DEFAULTS).resolve("gpt-4o-mini") == "claude-haiku-4-5-20251001"


def test_only_a_name_of_the_list_or_an_alias_can_be_looked_up() -> None:
    assert OUT_OF_THE_BOX.get(LISTED[0]) == LISTED[0]
    assert OUT_OF_THE_BOX.get("claude-opus-4-5") == LISTED[0]
    assert OUT_OF_THE_BOX.get("gpt-4o") == "gpt-4o"
    for unknown in ("claude-of-tomorrow", "llama-4"):
        with pytest.raises(ApiError):
            OUT_OF_THE_BOX.get(unknown)


def test_the_operator_s_own_names_are_listed_behind_the_models() -> None:
    catalogue = with_aliases("fast=haiku, gpt-5*=opus")

    assert catalogue.names == (*catalogue.ids, "fast")


@given(st.text().map("claude-".__add__) | st.text())
def test_what_is_used_fits_a_header_and_what_is_refused_is_shown_in_short_ascii(name: str) -> None:
    with suppress(ApiError):
        resolved = OUT_OF_THE_BOX.resolve(name)
        assert resolved.isascii()
        assert resolved.isprintable()
    shown = unknown_model(name).message
    assert shown.isascii()
    assert len(shown) < 1_200


RETIRED = "claude-sonnet-4-5-20250929"
SONNET = "claude-sonnet-5-5"
WITH_SONNET = Catalogue.of([*REPORTED, {"value": "sonnet", "resolvedModel": SONNET}], DEFAULT, DEFAULTS)


@pytest.mark.parametrize("name", [RETIRED, "claude-sonnet-4.5", "gpt-5.5", "default"])
def test_whatever_means_a_refused_model_means_its_heir_from_then_on(name: str) -> None:
    assert WITH_SONNET.resolve(name) == RETIRED

    without = WITH_SONNET.without(RETIRED)

    assert without.resolve(name) == SONNET
    assert RETIRED not in without.names


def test_who_may_have_a_model_may_have_its_heir() -> None:
    without = WITH_SONNET.without(RETIRED)

    assert without.allows([RETIRED], without.resolve(RETIRED))
    assert not without.allows(["claude-haiku-4-5"], without.resolve(RETIRED))


@pytest.mark.parametrize("model", ["claude-of-tomorrow", "claude-haiku-4-5-20251001", SONNET])
def test_a_model_without_an_heir_stays_what_it_is(model: str) -> None:
    assert WITH_SONNET.without(model) is WITH_SONNET


def test_nothing_is_its_own_heir() -> None:
    """Where the CLI names no current model of the family, there is none."""
    assert CATALOGUE.without(RETIRED) is CATALOGUE
