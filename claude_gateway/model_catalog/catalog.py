"""Catalog that lists the models and finds the model for each name that a client sends. No I/O."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.model_catalog.aliases import DEFAULT_ALIASES, ModelAlias
from claude_gateway.model_catalog.retirements import find_retirement
from claude_gateway.model_catalog.similar_names import (
    FAMILIES,
    ParsedModelName,
    is_bedrock_name,
    parse_model_name,
    strip_bedrock_prefix,
    strip_providers,
    strip_variants,
)
from workers.core.settings import AuthMethod

# The name of a Claude model also appears in a response header, so it must be printable ASCII of limited length. It must
# not contain a slash or a percent sign, because on Vertex the name becomes a part of a URL path.
_CLAUDE_NAME = re.compile(r"claude-[A-Za-z0-9._:@\[\]-]{1,128}")
_ARN = re.compile(r"arn:aws[A-Za-z0-9._:/-]{1,180}")
# Pattern for the first characters of the names that models have at Anthropic, Bedrock and Vertex.
_PROVIDER_MODEL_NAME = re.compile(r"claude-|arn:aws|([a-z-]+\.)?anthropic\.")
_MAX_NAME_CHARS = 200
# The Anthropic API accepts Opus 4 and Sonnet 4 only by names with a date. It accepts later models also by names without
# a date.
_LAST_MAJOR_WITHOUT_MINOR = 4
# Models for which the CLI's short names stand. The catalog uses this table until a CLI process reports the models. The
# table is correct for the CLI version that the gateway requires.
DEFAULT_FAMILY_MODELS: Mapping[str, str] = {
    "opus": "claude-opus-5-5",
    "fable": "claude-fable-5-2",
    "sonnet": "claude-sonnet-5-5",
    "haiku": "claude-haiku-5-5",
}
# Dated model ids that the CLI does not report. Clients and guides use these names, with the date or without.
DATED_MODEL_IDS = (
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-1-20250805",
    "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-20250219",
    "claude-3-5-sonnet-20241022",
    "claude-3-5-haiku-20241022",
    "claude-3-opus-20240229",
    "claude-3-haiku-20240307",
)
# Names of other providers' models that clients offer to their users or look for in the model list. The default aliases
# map these names to Claude models.
_COMMON_FOREIGN_MODELS = (
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "gpt-5.1", "gpt-5.5", "gpt-5-codex"),
    *("o3", "o4-mini", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview"),
)


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """The models that the CLI reported at its start, with the names by which clients can request them.

    Attributes:
        ids: Ids of the reported models and of the default model.
        short_names: Mapping from each short name to a model id. The short names are `default` and the short names of
            the CLI, such as `sonnet`. They stand for newer models over time.
        aliases: Aliases that the operator has set, followed by the default aliases unless the operator disables these.
        retired_ids: Ids of models that the upstream rejected and that have a replacement.
        auth_method: Method with which the gateway logs in to the provider. The catalog uses the model names of this
            provider.
    """

    ids: tuple[str, ...]
    short_names: Mapping[str, str]
    aliases: tuple[ModelAlias, ...] = ()
    retired_ids: frozenset[str] = frozenset()
    auth_method: AuthMethod = AuthMethod.API_KEY

    @classmethod
    def from_cli_models(
        cls,
        cli_models: Iterable[Mapping[str, Any]],
        default_model: str = "sonnet",
        aliases: tuple[ModelAlias, ...] = (),
        auth_method: AuthMethod = AuthMethod.API_KEY,
    ) -> "ModelCatalog":
        """Create a catalog of the models that the CLI reported.

        Args:
            cli_models: The field `models` in the CLI's response to `initialize`.
            default_model: Model id or short name of the default model.
            aliases: Aliases in the order in which the catalog tries them.
            auth_method: Method with which the gateway logs in to the provider.

        Raises:
            ValueError: The target of an alias is not a model.
        """
        reported = [
            (str(model.get("value")), model["resolvedModel"]) for model in cli_models if "resolvedModel" in model
        ]
        reported_ids = [model_id for _, model_id in reported] or list(DEFAULT_FAMILY_MODELS.values())
        # With Bedrock and Vertex, the CLI reports few of its short names. Therefore find the newest model of each
        # family from the model ids.
        newest = _newest_by_family(reported_ids) if auth_method in (AuthMethod.BEDROCK, AuthMethod.VERTEX) else {}
        reported_short_names = {name: model_id for name, model_id in reported if name not in reported_ids}
        short_names = {**DEFAULT_FAMILY_MODELS, **newest, **reported_short_names}
        short_names["default"] = short_names.get(default_model, default_model)
        ids = tuple(dict.fromkeys([*reported_ids, short_names["default"]]))
        for alias in aliases:
            if alias.target not in (*short_names, *ids) and not _PROVIDER_MODEL_NAME.match(alias.target):
                raise ValueError(
                    f"the target of the alias {alias.pattern} is not a model; "
                    f"use a model id or one of the short names {', '.join(short_names)}"
                )
        return cls(ids, short_names, aliases, auth_method=auth_method)

    @property
    def listed_names(self) -> tuple[str, ...]:
        """The model names that clients receive in the model list.

        The model ids come first, followed by the operator's aliases that match only one name.
        """
        operator_aliases = [alias.pattern for alias in self.aliases if alias.is_exact and alias not in DEFAULT_ALIASES]
        return tuple(dict.fromkeys([*(id_ for id_ in self.ids if id_ not in self.retired_ids), *operator_aliases]))

    @property
    def listed_names_and_aliases(self) -> tuple[str, ...]:
        """The model names in the complete list, which also contains short names and aliases.

        Some clients reject every model that is not in the model list. The complete list is for these clients.
        """
        candidates = (*self.short_names, *DATED_MODEL_IDS, *_COMMON_FOREIGN_MODELS)
        return tuple(dict.fromkeys([*self.listed_names, *filter(self._is_available, candidates)]))

    def _is_available(self, name: str) -> bool:
        try:
            return self.resolve(name) not in self.retired_ids
        except ApiError:
            return False

    def with_retired(self, model: str) -> "ModelCatalog":
        """Return a catalog that uses a replacement for a model that the upstream has rejected.

        If the model does not have a replacement, return this catalog unchanged.
        """
        if find_retirement(model) is None:
            return self
        catalog = replace(self, retired_ids=self.retired_ids | {model})
        return self if catalog.current_model(model) == model else catalog

    def current_model(self, model: str) -> str:
        """Return the replacement of a model if the upstream has rejected the model, and otherwise the model itself."""
        retirement = find_retirement(model)
        if model not in self.retired_ids or retirement is None:
            return model
        replacement = self.short_names.get(retirement.replacement, retirement.replacement)
        return model if replacement in self.retired_ids else replacement

    def resolve(self, name: str) -> str:
        """Return the model that the gateway uses if a client requests this name.

        The method accepts names that begin with `claude-` even if the catalog does not list them.

        Raises:
            ApiError: 404 for any other unknown name.
        """
        return self.current_model(self.resolve_ignoring_retirement(name))

    def resolve_ignoring_retirement(self, name: str) -> str:
        """Return the model for a name, even if the model is retired. Raises `ApiError` 404 for an unknown name."""
        if len(name) > _MAX_NAME_CHARS:
            raise unknown_model(name)
        plain_name, is_known_provider = strip_providers(name)
        name_forms = (name, plain_name, strip_variants(plain_name)) if is_known_provider else (name,)
        claude_model = self._resolve_claude_name(name, allow_short_names=True) or self._resolve_claude_name(
            plain_name, allow_short_names=is_known_provider
        )
        for alias in self.aliases:
            if "*" not in alias.pattern:  # the same as `is_exact`, but faster, because there are dozens of aliases
                is_match = alias.pattern in name_forms
            else:
                # A pattern for names of other providers must not match names of Claude models.
                is_match = (alias.pattern.startswith("claude-") or claude_model is None) and any(
                    map(alias.matches, name_forms)
                )
            if is_match:
                return self.short_names.get(alias.target, alias.target)
        if claude_model is None:
            raise unknown_model(name)
        return claude_model

    def is_short_name(self, name: str) -> bool:
        """Return whether a name stands for newer Claude models over time.

        Examples of such names are `sonnet` and `claude-sonnet-latest`.
        """
        plain_name, is_known_provider = strip_providers(name)
        parsed_name = parse_model_name(plain_name)
        return is_known_provider and (
            plain_name in self.short_names or (parsed_name is not None and not parsed_name.version)
        )

    def get_model_id(self, name: str) -> str:
        """Return the id of the listed model that a name stands for. Return short names and aliases unchanged.

        Raises:
            ApiError: 404 for an unknown model.
        """
        if name in self.ids:
            return name
        resolved_model = self.resolve_ignoring_retirement(name)
        parsed_name = parse_model_name(strip_providers(name)[0])
        if parsed_name is None and not _CLAUDE_NAME.fullmatch(name):
            return name
        if parsed_name is not None and not parsed_name.version:
            return name
        parsed_model = parse_model_name(resolved_model)
        known_id = next(self._find_known_ids(parsed_model), None) if parsed_model else None
        if known_id is None:
            raise unknown_model(name)
        return known_id

    def is_allowed(self, allowed_patterns: Sequence[str], model: str) -> bool:
        """Return whether a key with these patterns may use a model. A key without patterns may use every model.

        Args:
            allowed_patterns: Model names, or patterns for model names, that the key may use.
            model: Model that `resolve` has returned for the name that the client sent.
        """
        return not allowed_patterns or any(self._matches_pattern(pattern, model) for pattern in allowed_patterns)

    def _matches_pattern(self, pattern: str, model: str) -> bool:
        if not (alias := ModelAlias(pattern, "")).is_exact:
            return alias.matches(model)
        try:
            return self.resolve(pattern) == model
        except ApiError:
            return False

    def _resolve_claude_name(self, name: str, *, allow_short_names: bool) -> str | None:
        """Return the Claude model for a name without provider prefix; None if the name is not that of a Claude model.

        If `allow_short_names` is false, the method does not accept a short name such as `sonnet`.
        """
        if name in self.ids or (allow_short_names and name in self.short_names):
            return self.short_names.get(name, name)
        if self.auth_method is AuthMethod.BEDROCK and is_bedrock_name(name):
            return name if _ARN.fullmatch(name) or _CLAUDE_NAME.fullmatch(name.partition("anthropic.")[2]) else None
        parsed_name = parse_model_name(name)
        if parsed_name is not None and (allow_short_names or "claude-" in name):
            return self._provider_model_name(name, parsed_name)
        name = strip_bedrock_prefix(name)
        return name if _CLAUDE_NAME.fullmatch(name) else None

    def _provider_model_name(self, name: str, parsed_name: ParsedModelName) -> str:
        """Return the name that the gateway's provider (such as Anthropic or Bedrock) uses for a model.

        Args:
            name: Name that the client sent, without provider prefix.
            parsed_name: The parsed form of `name`.
        """
        if not parsed_name.version:
            return self.short_names[parsed_name.family] + parsed_name.context_window_suffix
        known_id = next(self._find_known_ids(parsed_name), None)
        if self.auth_method is AuthMethod.BEDROCK:
            return known_id or self._bedrock_model_name(_with_known_date(parsed_name))
        if self.auth_method is AuthMethod.VERTEX:
            dated = _with_known_date(parsed_name)
            date_suffix = f"@{dated.date}" if dated.date else ""
            return known_id or dated.undated_name + date_suffix + dated.context_window_suffix
        is_valid_without_date = len(parsed_name.version) > 1 or parsed_name.version[0] > _LAST_MAJOR_WITHOUT_MINOR
        if parsed_name.date or (is_valid_without_date and name == parsed_name.name):
            return parsed_name.name
        return known_id or parsed_name.name

    def _bedrock_model_name(self, parsed_name: ParsedModelName) -> str:
        """Return the Bedrock name of a model, with the same region prefix as the model names that the CLI reported."""
        prefix = next((id_.partition("claude-")[0] for id_ in self.ids if is_bedrock_name(id_)), "anthropic.")
        version = f"-{parsed_name.date}-v1:0" if parsed_name.date else ""
        return f"{prefix}{parsed_name.undated_name}{version}{parsed_name.context_window_suffix}"

    def _find_known_ids(self, parsed_name: ParsedModelName) -> Iterator[str]:
        """Yield the known model ids that match a name.

        If the gateway uses the Anthropic API, the known ids include `DATED_MODEL_IDS`.
        """
        is_anthropic_api = self.auth_method in (AuthMethod.CLI, AuthMethod.API_KEY)
        for id_ in (*self.ids, *DATED_MODEL_IDS) if is_anthropic_api else self.ids:
            parsed_id = parse_model_name(id_)
            if parsed_id is not None and parsed_name.matches(parsed_id):
                yield id_


def _with_known_date(parsed_name: ParsedModelName) -> ParsedModelName:
    """Add the date of a known model id to a name if the name matches that id. Otherwise return the name unchanged."""
    plain_name = replace(parsed_name, context_window_suffix="")
    dated_names = (parse_model_name(model_id) for model_id in DATED_MODEL_IDS)
    date = next((dated.date for dated in dated_names if dated and plain_name.matches(dated)), parsed_name.date)
    return replace(parsed_name, date=date)


def _newest_by_family(ids: Iterable[str]) -> dict[str, str]:
    """Return a mapping from each family to the id of the family's newest model."""
    newest: dict[str, tuple[tuple[int, ...], str]] = {}
    for id_ in ids:
        parsed_name = parse_model_name(id_)
        if parsed_name is not None and not parsed_name.context_window_suffix and parsed_name.family in FAMILIES:
            newest[parsed_name.family] = max(newest.get(parsed_name.family, ((), "")), (parsed_name.version, id_))
    return {family: id_ for family, (_, id_) in newest.items()}


def initial_model(default_model: str, auth_method: AuthMethod) -> str:
    """Return the model with which the first CLI process starts.

    At that time, no process has reported the models for which the short names stand, so the function uses a table. On
    Bedrock, it returns a short name unchanged, because the model names depend on the region.
    """
    return (
        default_model if auth_method is AuthMethod.BEDROCK else DEFAULT_FAMILY_MODELS.get(default_model, default_model)
    )


def model_not_allowed() -> ApiError:
    """Return the error for a model that the key may not use."""
    return ApiError(
        403, "permission_error", "This key may not use that model.", code="model_not_allowed", param="model"
    )


def unknown_model(name: str) -> ApiError:
    """Return the error for a model name that the catalog cannot resolve."""
    quoted_name = name[:100].encode("ascii", "backslashreplace").decode()
    return ApiError(
        404,
        "invalid_request_error",
        f"The model '{quoted_name}' does not exist. GET /v1/models lists the available models.",
        code="model_not_found",
        param="model",
    )
