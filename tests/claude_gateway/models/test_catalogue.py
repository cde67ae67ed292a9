"""Which names are models, which of them are ours to pass on, and who answers to the names of others."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.errors import ApiError
from claude_gateway.models.aliases import DEFAULTS, Alias, read_aliases
from claude_gateway.models.catalogue import CURRENT, DATED, Catalogue, first_model, unknown_model
from workers.settings import AuthMethod

CATALOGUE = Catalogue.of([])
DEFAULT = "claude-sonnet-4-5-20250929"
HAIKU = "claude-haiku-5-5"
# As the CLI of today reports them.
REPORTED = [
    {"value": "default", "resolvedModel": "claude-opus-5-5"},
    {"value": "opus", "resolvedModel": "claude-opus-5-5"},
    {"value": "fable", "resolvedModel": "claude-fable-5-2"},
    {"value": "haiku", "resolvedModel": HAIKU},
    {"value": DEFAULT, "resolvedModel": DEFAULT},
]
OUT_OF_THE_BOX = Catalogue.of(REPORTED, DEFAULT, DEFAULTS)


def with_aliases(setting: str) -> Catalogue:
    return Catalogue.of(REPORTED, DEFAULT, read_aliases(setting))


def test_the_models_that_the_cli_reports_are_listed_each_once_then_the_default_one() -> None:
    reported = [{"resolvedModel": "claude-new-1"}, {"resolvedModel": "claude-new-1"}, {"value": "default"}]

    assert Catalogue.of(reported, DEFAULT).names == ("claude-new-1", DEFAULT)


def test_before_the_cli_has_reported_any_the_current_models_are_listed() -> None:
    assert Catalogue.of([]).names == tuple(CURRENT.values())


@pytest.mark.promise("models.claude-passed-on")
@pytest.mark.parametrize(
    "name",
    [
        *DATED,
        "claude-of-tomorrow",
        "claude-sonnet-4-5",
        "claude-opus-4-7",
        "claude-opus-5[1m]",
        "claude-instant-1.2",
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
        ("claude-4.5-opus-high-thinking", "claude-opus-4-5-20251101"),
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
        ("claude-opus-4-20250514=opus", "claude-opus-4-20250514", "claude-opus-5-5"),
        ("anthropic/x=opus", "anthropic/x", "claude-opus-5-5"),
        ("gpt-5*=opus", "openai/gpt-5.5", "claude-opus-5-5"),
        ("*=opus", "anthropic/claude-haiku-5-5", HAIKU),
        ("claude-haiku-5-5=opus", "anthropic/claude-haiku-5-5", "claude-opus-5-5"),
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
    assert Catalogue.of([], DEFAULT, DEFAULTS).resolve("gpt-4o-mini") == CURRENT["haiku"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("anthropic/claude-opus-5.5", "claude-opus-5-5"),
        ("claude-opus-4-5", "claude-opus-4-5-20251101"),
        ("claude-sonnet-4.5", DEFAULT),
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("opus", "opus"),
    ],
)
def test_a_known_model_a_word_or_an_alias_can_be_looked_up(name: str, shown: str) -> None:
    assert OUT_OF_THE_BOX.get(name) == shown


@pytest.mark.parametrize("name", ["claude-of-tomorrow", "claude-opus-9-9", "llama-4"])
def test_no_other_name_can_be_looked_up(name: str) -> None:
    with pytest.raises(ApiError):
        OUT_OF_THE_BOX.get(name)


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


# The names of today's models, as the three kinds of logins have them.
API = [{"value": word, "resolvedModel": model} for word, model in CURRENT.items()]
ON_BEDROCK = [
    {"value": name, "resolvedModel": name}
    for name in (
        *("eu.anthropic.claude-opus-5-5", "eu.anthropic.claude-sonnet-5-5", "eu.anthropic.claude-sonnet-4-6"),
        *("eu.anthropic.claude-sonnet-4-6[1m]", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
    )
]
ON_VERTEX = [
    {"value": name, "resolvedModel": name}
    for name in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-4-6", "claude-haiku-4-5@20251001")
]


def answered(name: str, reported: list[dict[str, str]], method: AuthMethod) -> str:
    return Catalogue.of(reported, "sonnet", DEFAULTS, method).resolve(name)


@pytest.mark.promise("models.spellings")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        *((word, model) for word, model in CURRENT.items()),
        ("default", "claude-sonnet-5-5"),
        ("sonnet[1m]", "claude-sonnet-5-5[1m]"),
        ("claude-sonnet-latest", "claude-sonnet-5-5"),
        ("~anthropic/claude-sonnet-latest", "claude-sonnet-5-5"),
        ("claude-haiku", "claude-haiku-5-5"),
        ("openai/sonnet", "claude-sonnet-5-5"),
        ("sonnet-4.5", "claude-sonnet-4-5-20250929"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5-20250929"),
        ("anthropic/claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("anthropic/claude-opus-4.7", "claude-opus-4-7"),
        ("openrouter/anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet-20250219"),
        ("anthropic/claude-3.5-haiku:beta", "claude-3-5-haiku-20241022"),
        ("anthropic:claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("litellm_proxy/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("my-team/claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5-20250929-thinking", "claude-sonnet-4-5-20250929"),
        ("claude-4.5-sonnet-20250929", "claude-sonnet-4-5-20250929"),
        ("claude-4-5-sonnet", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4-5-20250929"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
        ("claude-sonnet-4-5:thinking", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5-20250929[1m]"),
        ("claude-sonnet-4-5-20250929:1m", "claude-sonnet-4-5-20250929[1m]"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("jp.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("global.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("anthropic.claude-3-haiku-20240307-v1:0:200k", "claude-3-haiku-20240307"),
        ("bedrock/us-east-1/anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "claude-sonnet-4-5-20250929",
        ),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
        ("vertex_ai/claude-opus-4-1@20250805", "claude-opus-4-1-20250805"),
        ("projects/p/locations/eu/publishers/anthropic/models/claude-sonnet-4-6@default", "claude-sonnet-4-6"),
        ("openai/gpt-4o", "claude-sonnet-5-5"),
        ("openrouter/openai/gpt-5-mini", "claude-haiku-5-5"),
        ("azure/gpt-4o", "claude-sonnet-5-5"),
        ("openai:o4-mini", "claude-haiku-5-5"),
        ("models/gemini-2.5-pro", "claude-sonnet-5-5"),
        ("google/gemini-2.5-flash-lite", "claude-haiku-5-5"),
        ("openrouter/auto", "claude-sonnet-5-5"),
        ("gpt-35-turbo", "claude-haiku-5-5"),
    ],
)
def test_a_name_means_the_same_model_however_a_program_spells_it(name: str, model: str) -> None:
    assert answered(name, API, AuthMethod.API_KEY) == answered(name, API, AuthMethod.CLI) == model


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("sonnet", "eu.anthropic.claude-sonnet-5-5"),
        ("haiku", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("openai/gpt-5-mini", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude-haiku-4.5", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude-haiku-4-5@20251001", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("anthropic/claude-sonnet-4.6", "eu.anthropic.claude-sonnet-4-6"),
        ("claude-sonnet-4-6[1m]", "eu.anthropic.claude-sonnet-4-6[1m]"),
        ("claude-sonnet-4-5", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("bedrock/global.anthropic.claude-opus-5-5", "global.anthropic.claude-opus-5-5"),
        (
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc",
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc",
        ),
    ],
)
def test_on_bedrock_a_model_has_the_name_that_bedrock_has_for_it(name: str, model: str) -> None:
    assert answered(name, ON_BEDROCK, AuthMethod.BEDROCK) == model


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("sonnet", "claude-sonnet-5-5"),
        ("haiku", "claude-haiku-4-5@20251001"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5@20251001"),
        ("claude-sonnet-4.5", "claude-sonnet-4-5@20250929"),
        ("vertex_ai/claude-opus-4-1@20250805", "claude-opus-4-1@20250805"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6"),
    ],
)
def test_on_vertex_a_model_has_the_name_that_vertex_has_for_it(name: str, model: str) -> None:
    assert answered(name, ON_VERTEX, AuthMethod.VERTEX) == model


@pytest.mark.parametrize(
    "name",
    [
        *("some/sonnet", "x-ai/grok-4", "meta-llama/llama-4", "EleutherAI/gpt-j-6b", "nobody:gpt-4o", "openai/", "/"),
        *(
            "claude-sonnet-4-5/x",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            "anthropic/claude-%41",
        ),
    ],
)
def test_a_provider_before_it_makes_no_model_of_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ApiError):
        answered(name, API, AuthMethod.API_KEY)


def test_the_listed_aliases_are_all_answered() -> None:
    catalogue = Catalogue.of(API, "sonnet", read_aliases("fast=haiku"))

    listed = catalogue.names_and_aliases

    assert {"sonnet", "default", "fast", "gpt-4o", "gemini-2.5-pro", DEFAULT, *CURRENT.values()} <= set(listed)
    assert len(set(listed)) == len(listed)
    assert all(catalogue.resolve(name) for name in listed)
    assert "gpt-4o" not in Catalogue.of(API, "sonnet", read_aliases("none")).names_and_aliases


@pytest.mark.parametrize(
    ("default", "method", "first"),
    [
        ("sonnet", AuthMethod.API_KEY, "claude-sonnet-5-5"),
        ("sonnet", AuthMethod.CLI, "claude-sonnet-5-5"),
        ("opus", AuthMethod.VERTEX, "claude-opus-5-5"),
        ("sonnet", AuthMethod.BEDROCK, "sonnet"),
        (DEFAULT, AuthMethod.API_KEY, DEFAULT),
    ],
)
def test_a_process_starts_with_the_model_that_its_first_job_wants(default: str, method: AuthMethod, first: str) -> None:
    assert first_model(default, method) == first


@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5@20250929"])
def test_a_model_has_its_heir_on_bedrock_and_vertex_too(model: str) -> None:
    reported, method = (ON_BEDROCK, AuthMethod.BEDROCK) if "." in model else (ON_VERTEX, AuthMethod.VERTEX)
    catalogue = Catalogue.of(reported, "sonnet", DEFAULTS, method).without(model)

    assert catalogue.resolve(model) == catalogue.resolve("sonnet")


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
    """Where the word for the family means the very model that was refused, there is none."""
    catalogue = Catalogue.of([{"value": "sonnet", "resolvedModel": RETIRED}], "sonnet")

    assert catalogue.without(RETIRED) is catalogue
