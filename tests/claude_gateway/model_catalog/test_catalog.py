"""Resolution of model names: Claude names, aliases for other providers, and replacements of retired models."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.core.errors import ApiError
from claude_gateway.model_catalog.aliases import DEFAULT_ALIASES, ModelAlias, parse_aliases
from claude_gateway.model_catalog.catalog import (
    DATED_MODEL_IDS,
    DEFAULT_FAMILY_MODELS,
    ModelCatalog,
    initial_model,
    unknown_model,
)
from workers.core.settings import AuthMethod

CATALOG = ModelCatalog.from_cli_models([])
DEFAULT = "claude-sonnet-4-5-20250929"
HAIKU = "claude-haiku-5-5"
# Models as the pinned CLI reports them.
REPORTED = [
    {"value": "default", "resolvedModel": "claude-opus-5-5"},
    {"value": "opus", "resolvedModel": "claude-opus-5-5"},
    {"value": "fable", "resolvedModel": "claude-fable-5-2"},
    {"value": "haiku", "resolvedModel": HAIKU},
    {"value": DEFAULT, "resolvedModel": DEFAULT},
]
DEFAULT_CATALOG = ModelCatalog.from_cli_models(REPORTED, DEFAULT, DEFAULT_ALIASES)


def with_aliases(setting: str) -> ModelCatalog:
    return ModelCatalog.from_cli_models(REPORTED, DEFAULT, parse_aliases(setting))


def test_lists_each_cli_model_once_and_then_the_default_model() -> None:
    reported = [{"resolvedModel": "claude-new-1"}, {"resolvedModel": "claude-new-1"}, {"value": "default"}]

    assert ModelCatalog.from_cli_models(reported, DEFAULT).listed_names == ("claude-new-1", DEFAULT)


def test_lists_current_models_before_the_cli_has_reported_any() -> None:
    assert ModelCatalog.from_cli_models([]).listed_names == tuple(DEFAULT_FAMILY_MODELS.values())


@pytest.mark.promise("models.claude-passed-on")
@pytest.mark.parametrize(
    "name",
    [
        *DATED_MODEL_IDS,
        "claude-of-tomorrow",
        "claude-sonnet-4-5",
        "claude-opus-4-7",
        "claude-opus-5[1m]",
        "claude-instant-1.2",
        "claude-mini",
    ],
)
@pytest.mark.parametrize("catalog", [CATALOG, DEFAULT_CATALOG, with_aliases("*=haiku")])
def test_passes_any_claude_name_through(catalog: ModelCatalog, name: str) -> None:
    assert catalog.resolve(name) == name


def test_passes_any_name_that_the_cli_reported_through() -> None:
    name = "eu.anthropic.claude-sonnet"

    assert ModelCatalog.from_cli_models([{"resolvedModel": name}]).resolve(name) == name


def test_accepts_any_name_as_the_default_model() -> None:
    name = "eu.anthropic.claude-sonnet"
    catalog = ModelCatalog.from_cli_models([], name, DEFAULT_ALIASES)

    assert catalog.resolve(name) == catalog.resolve("default") == catalog.resolve("gpt-5.5") == name
    assert name in catalog.listed_names


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "", "claude", "claude-", "Claude-x", "claude-\n", "claude-a\x00", "claude-é", f"claude-{'x' * 200}"],
)
def test_rejects_any_other_name_with_404(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        CATALOG.resolve(name)

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
def test_name_of_a_large_model_resolves_to_the_default_model(name: str) -> None:
    assert DEFAULT_CATALOG.resolve(name) == DEFAULT


@pytest.mark.promise("models.aliases")
@pytest.mark.parametrize(
    "name",
    [
        *("gpt-4o-mini", "gpt-4.1-nano", "gpt-5-mini", "gpt-5.1-codex-mini", "codex-mini-latest", "gpt-3.5-turbo"),
        *("o4-mini", "o3-mini-high", "gemini-2.5-flash-lite", "gemini-3.5-flash-lite", "gemini-1.5-flash-8b", "haiku"),
    ],
)
def test_name_of_a_small_model_resolves_to_the_haiku_model_of_the_cli(name: str) -> None:
    assert DEFAULT_CATALOG.resolve(name) == HAIKU


@pytest.mark.parametrize(("short_name", "model"), [("opus", "claude-opus-5-5"), ("fable", "claude-fable-5-2")])
def test_resolves_short_names_of_the_cli(short_name: str, model: str) -> None:
    assert DEFAULT_CATALOG.resolve(short_name) == model


@pytest.mark.parametrize(
    ("name", "model"),
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
def test_resolves_claude_names_as_editors_spell_them(name: str, model: str) -> None:
    assert DEFAULT_CATALOG.resolve(name) == model


@pytest.mark.parametrize(
    "name", ["llama-4", "deepseek-v3", "gpt", "o5", "text-embedding-3", "grok-4", "Auto", "gpt-\n"]
)
def test_rejects_unknown_name_despite_default_aliases(name: str) -> None:
    with pytest.raises(ApiError):
        DEFAULT_CATALOG.resolve(name)


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
def test_first_matching_alias_applies_and_operator_aliases_come_first(setting: str, name: str, model: str) -> None:
    assert with_aliases(setting).resolve(name) == model


@pytest.mark.parametrize(
    ("setting", "name"), [("none", "gpt-4o"), ("fast=haiku, none", "gpt-4o"), ("a.c=haiku", "abc")]
)
def test_none_disables_default_aliases_and_a_dot_is_literal(setting: str, name: str) -> None:
    with pytest.raises(ApiError):
        with_aliases(setting).resolve(name)


@pytest.mark.parametrize("entry", ["fast", "=haiku", "fast=", "a=b=c", "none", "a b=haiku", "a=é", "=", "a==b"])
def test_error_of_an_invalid_alias_entry_has_its_number(entry: str) -> None:
    with pytest.raises(ValueError, match="entry 2 is not `pattern=model`"):
        parse_aliases(f"one=haiku, {entry}, three=haiku")


@pytest.mark.parametrize("target", ["gpt-5", "hiaku", "none", "Opus"])
def test_rejects_alias_whose_target_is_not_a_model(target: str) -> None:
    with pytest.raises(ValueError, match="the target of the alias gpt-4o is not a model"):
        ModelCatalog.from_cli_models(REPORTED, DEFAULT, (ModelAlias("gpt-4o", target),))


def test_every_default_alias_resolves_without_cli_models() -> None:
    assert (
        ModelCatalog.from_cli_models([], DEFAULT, DEFAULT_ALIASES).resolve("gpt-4o-mini")
        == DEFAULT_FAMILY_MODELS["haiku"]
    )


@pytest.mark.parametrize(
    ("name", "model_id"),
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
def test_looks_up_model_id_short_name_or_alias(name: str, model_id: str) -> None:
    assert DEFAULT_CATALOG.get_model_id(name) == model_id


@pytest.mark.parametrize("name", ["claude-of-tomorrow", "claude-opus-9-9", "llama-4"])
def test_lookup_of_an_unknown_model_fails(name: str) -> None:
    with pytest.raises(ApiError):
        DEFAULT_CATALOG.get_model_id(name)


def test_lists_operator_aliases_after_the_models() -> None:
    catalog = with_aliases("fast=haiku, gpt-5*=opus")

    assert catalog.listed_names == (*catalog.ids, "fast")


@given(st.text().map("claude-".__add__) | st.text())
def test_resolved_name_is_valid_in_a_header_and_error_message_is_short_ascii(name: str) -> None:
    with suppress(ApiError):
        resolved = DEFAULT_CATALOG.resolve(name)
        assert resolved.isascii()
        assert resolved.isprintable()
    message = unknown_model(name).message
    assert message.isascii()
    assert len(message) < 1_200


# The same models as the CLI reports them for the Anthropic API, Bedrock and Vertex.
API = [{"value": short_name, "resolvedModel": model} for short_name, model in DEFAULT_FAMILY_MODELS.items()]
BEDROCK = [
    {"value": name, "resolvedModel": name}
    for name in (
        *("eu.anthropic.claude-opus-5-5", "eu.anthropic.claude-sonnet-5-5", "eu.anthropic.claude-sonnet-4-6"),
        *("eu.anthropic.claude-sonnet-4-6[1m]", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
    )
]
VERTEX = [
    {"value": name, "resolvedModel": name}
    for name in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-4-6", "claude-haiku-4-5@20251001")
]


def resolve_with(name: str, reported: list[dict[str, str]], method: AuthMethod) -> str:
    return ModelCatalog.from_cli_models(reported, "sonnet", DEFAULT_ALIASES, method).resolve(name)


@pytest.mark.promise("models.spellings")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        *DEFAULT_FAMILY_MODELS.items(),
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
def test_resolves_a_model_in_every_spelling(name: str, model: str) -> None:
    assert resolve_with(name, API, AuthMethod.API_KEY) == resolve_with(name, API, AuthMethod.CLI) == model


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
def test_uses_bedrock_model_names_on_bedrock(name: str, model: str) -> None:
    assert resolve_with(name, BEDROCK, AuthMethod.BEDROCK) == model


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
def test_uses_vertex_model_names_on_vertex(name: str, model: str) -> None:
    assert resolve_with(name, VERTEX, AuthMethod.VERTEX) == model


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
def test_provider_prefix_does_not_make_an_unknown_name_valid(name: str) -> None:
    with pytest.raises(ApiError):
        resolve_with(name, API, AuthMethod.API_KEY)


def test_resolves_every_listed_alias() -> None:
    catalog = ModelCatalog.from_cli_models(API, "sonnet", parse_aliases("fast=haiku"))

    listed_names = catalog.listed_names_and_aliases

    assert {"sonnet", "default", "fast", "gpt-4o", "gemini-2.5-pro", DEFAULT, *DEFAULT_FAMILY_MODELS.values()} <= set(
        listed_names
    )
    assert len(set(listed_names)) == len(listed_names)
    assert all(catalog.resolve(name) for name in listed_names)
    assert "gpt-4o" not in ModelCatalog.from_cli_models(API, "sonnet", parse_aliases("none")).listed_names_and_aliases


@pytest.mark.parametrize(
    ("default_model", "auth_method", "model"),
    [
        ("sonnet", AuthMethod.API_KEY, "claude-sonnet-5-5"),
        ("sonnet", AuthMethod.CLI, "claude-sonnet-5-5"),
        ("opus", AuthMethod.VERTEX, "claude-opus-5-5"),
        ("sonnet", AuthMethod.BEDROCK, "sonnet"),
        (DEFAULT, AuthMethod.API_KEY, DEFAULT),
    ],
)
def test_first_process_starts_with_the_default_model(default_model: str, auth_method: AuthMethod, model: str) -> None:
    assert initial_model(default_model, auth_method) == model


@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5@20250929"])
def test_finds_replacement_on_bedrock_and_vertex(model: str) -> None:
    reported, method = (BEDROCK, AuthMethod.BEDROCK) if "." in model else (VERTEX, AuthMethod.VERTEX)
    catalog = ModelCatalog.from_cli_models(reported, "sonnet", DEFAULT_ALIASES, method).with_retired(model)

    assert catalog.resolve(model) == catalog.resolve("sonnet")


RETIRED = "claude-sonnet-4-5-20250929"
SONNET = "claude-sonnet-5-5"
WITH_SONNET = ModelCatalog.from_cli_models(
    [*REPORTED, {"value": "sonnet", "resolvedModel": SONNET}], DEFAULT, DEFAULT_ALIASES
)


@pytest.mark.parametrize("name", [RETIRED, "claude-sonnet-4.5", "gpt-5.5", "default"])
def test_every_name_of_a_rejected_model_resolves_to_its_replacement(name: str) -> None:
    assert WITH_SONNET.resolve(name) == RETIRED

    catalog = WITH_SONNET.with_retired(RETIRED)

    assert catalog.resolve(name) == SONNET
    assert RETIRED not in catalog.listed_names


def test_permission_for_a_model_covers_its_replacement() -> None:
    catalog = WITH_SONNET.with_retired(RETIRED)

    assert catalog.is_allowed([RETIRED], catalog.resolve(RETIRED))
    assert not catalog.is_allowed(["claude-haiku-4-5"], catalog.resolve(RETIRED))


@pytest.mark.parametrize("model", ["claude-of-tomorrow", "claude-haiku-4-5-20251001", SONNET])
def test_rejection_of_a_model_without_replacement_changes_nothing(model: str) -> None:
    assert WITH_SONNET.with_retired(model) is WITH_SONNET


def test_no_model_is_its_own_replacement() -> None:
    """If the short name of the family stands for the rejected model itself, there is no replacement."""
    catalog = ModelCatalog.from_cli_models([{"value": "sonnet", "resolvedModel": RETIRED}], "sonnet")

    assert catalog.with_retired(RETIRED) is catalog
