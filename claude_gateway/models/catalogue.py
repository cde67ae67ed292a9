"""The models: which exist, which a name means, whether a name is ours to pass on. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_gateway.errors import ApiError
from claude_gateway.models.aliases import DEFAULTS, Alias
from claude_gateway.models.spelling import FAMILIES, Spelled, bare, is_bedrock, read, without_region, without_suffixes
from claude_gateway.models.succession import succession_of
from workers.settings import AuthMethod

# It travels in a response header too, so nothing but printable ASCII of a bounded length.
# No slash and no percent sign: on Vertex the name becomes a part of a path.
_CLAUDE_NAME = re.compile(r"claude-[A-Za-z0-9._:@\[\]-]{1,128}")
_ARN = re.compile(r"arn:aws[A-Za-z0-9._:/-]{1,180}")
# What a model may be called where it is not Anthropic's own API that answers.
_OF_A_PROVIDER = re.compile(r"claude-|arn:aws|([a-z-]+\.)?anthropic\.")
_LONGEST_NAME = 200
# Anthropic calls Opus 4 and Sonnet 4 by their dates alone, and those since by their versions too.
_LAST_WITHOUT_MINOR = 4
# What the words of the CLI mean until it has said so itself: as the pinned one resolves them.
CURRENT: Mapping[str, str] = {
    "opus": "claude-opus-5-5",
    "fable": "claude-fable-5-2",
    "sonnet": "claude-sonnet-5-5",
    "haiku": "claude-haiku-5-5",
}
# Names with their dates that the CLI does not report. Programs and guides have them, with the date or without.
DATED = (
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
# Other providers' models that programs offer or check for, and that the patterns of the default table answer for.
_OFTEN_ASKED_FOR = (
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "gpt-5.1", "gpt-5.5", "gpt-5-codex"),
    *("o3", "o4-mini", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview"),
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models that the CLI reported at its start, and the default one. `words` are names for a model that change
    with time: `default`, and the CLI's own. `gone` are models that the upstream refused and that have an heir. `method`
    is whose names of the models are to be used."""

    ids: tuple[str, ...]
    words: Mapping[str, str]
    aliases: tuple[Alias, ...] = ()
    gone: frozenset[str] = frozenset()
    method: AuthMethod = AuthMethod.API_KEY

    @classmethod
    def of(
        cls,
        reported: Iterable[Mapping[str, Any]],
        default: str = "sonnet",
        aliases: tuple[Alias, ...] = (),
        method: AuthMethod = AuthMethod.API_KEY,
    ) -> "Catalogue":
        """`reported` is `models` of the CLI's answer to `initialize`. Raises `ValueError` at an alias for no model."""
        found = [(str(model.get("value")), model["resolvedModel"]) for model in reported if "resolvedModel" in model]
        found_ids = [model for _, model in found] or list(CURRENT.values())
        # Of its own words the CLI tells few where the models are Bedrock's or Vertex's; their names tell the family.
        newest = _newest(found_ids) if method in (AuthMethod.BEDROCK, AuthMethod.VERTEX) else {}
        words = {**CURRENT, **newest, **{word: model for word, model in found if word not in found_ids}}
        words["default"] = words.get(default, default)
        ids = tuple(dict.fromkeys([*found_ids, words["default"]]))
        for alias in aliases:
            if alias.target not in (*words, *ids) and not _OF_A_PROVIDER.match(alias.target):
                raise ValueError(f"the alias {alias.pattern} names no model; the words for one are {', '.join(words)}")
        return cls(ids, words, aliases, method=method)

    @property
    def names(self) -> tuple[str, ...]:
        """What is listed: the models, then the operator's own names for some of them."""
        own = [alias.pattern for alias in self.aliases if alias.exact and alias not in DEFAULTS]
        return tuple(dict.fromkeys([*(id_ for id_ in self.ids if id_ not in self.gone), *own]))

    @property
    def names_and_aliases(self) -> tuple[str, ...]:
        """What is listed on demand: further names that get an answer, for a program that refuses what is not listed."""
        further = (*self.words, *DATED, *_OFTEN_ASKED_FOR)
        return tuple(dict.fromkeys([*self.names, *(name for name in further if self._is_answered(name))]))

    def _is_answered(self, name: str) -> bool:
        try:
            return self.resolve(name) not in self.gone
        except ApiError:
            return False

    def without(self, model: str) -> "Catalogue":
        """The same after the upstream refused a model: where it has an heir, its names mean that one from now on."""
        if succession_of(model) is None:
            return self
        without = replace(self, gone=self.gone | {model})
        return self if without.living(model) == model else without

    def living(self, model: str) -> str:
        """The model that answers for one: itself, while the upstream takes it."""
        succession = succession_of(model)
        if model not in self.gone or succession is None:
            return model
        heir = self.words.get(succession.heir, succession.heir)
        return model if heir in self.gone else heir

    def resolve(self, name: str) -> str:
        """The model to use for a name. Any `claude-*` is passed on. Raises `ApiError` 404 otherwise."""
        return self.living(self.meant(name))

    def meant(self, name: str) -> str:
        """The model that a name is for, living or not. Raises `ApiError` 404."""
        if len(name) > _LONGEST_NAME:
            raise unknown_model(name)
        plain, is_known_provider = bare(name)
        forms = (name, plain, without_suffixes(plain)) if is_known_provider else (name,)
        own = self._own(name, is_word=True) or self._own(plain, is_word=is_known_provider)
        for alias in self.aliases:
            # A pattern for the names of others takes none of Claude's.
            if (alias.exact or alias.pattern.startswith("claude-") or own is None) and any(map(alias.matches, forms)):
                return self.words.get(alias.target, alias.target)
        if own is None:
            raise unknown_model(name)
        return own

    def is_word(self, name: str) -> bool:
        """Whether it is a name for a model of Claude's that changes with time."""
        plain, is_known_provider = bare(name)
        spelled = read(plain)
        return is_known_provider and (plain in self.words or (spelled is not None and not spelled.version))

    def get(self, name: str) -> str:
        """The id of a model of the list or of one that is known, by whatever spelling; a word or an alias as it is.
        Raises `ApiError` 404."""
        if name in self.ids:
            return name
        meant = self.meant(name)
        spelled = read(bare(name)[0])
        if spelled is None and not _CLAUDE_NAME.fullmatch(name):
            return name
        if spelled is not None and not spelled.version:
            return name
        read_meant = read(meant)
        known = next(self._like(read_meant), None) if read_meant else None
        if known is None:
            raise unknown_model(name)
        return known

    def allows(self, only: Sequence[str], model: str) -> bool:
        """Whether who may ask for these alone may have the model, to which a name was resolved. A pattern is held
        against that: what a caller calls it says nothing."""
        return not only or any(self._means(entry, model) for entry in only)

    def _means(self, entry: str, model: str) -> bool:
        if not (alias := Alias(entry, "")).exact:
            return alias.matches(model)
        try:
            return self.resolve(entry) == model
        except ApiError:
            return False

    def _own(self, name: str, *, is_word: bool) -> str | None:
        """The model of Claude's that a name without a provider means; None for a name of others. `is_word`: a word such
        as `sonnet` counts."""
        if name in self.ids or (is_word and name in self.words):
            return self.words.get(name, name)
        if self.method is AuthMethod.BEDROCK and is_bedrock(name):
            return name if _ARN.fullmatch(name) or _CLAUDE_NAME.fullmatch(name.partition("anthropic.")[2]) else None
        spelled = read(name)
        if spelled is not None and (is_word or "claude-" in name):
            return self._spelled(name, spelled)
        name = without_region(name)
        return name if _CLAUDE_NAME.fullmatch(name) else None

    def _spelled(self, name: str, spelled: Spelled) -> str:
        """The model as whoever answers calls it."""
        if not spelled.version:
            return self.words[spelled.family] + spelled.window
        like = next(self._like(spelled), None)
        if self.method is AuthMethod.BEDROCK:
            return like or self._bedrock_name(_dated(spelled))
        if self.method is AuthMethod.VERTEX:
            dated = _dated(spelled)
            return like or dated.undated + (f"@{dated.date}" if dated.date else "") + dated.window
        is_anthropics_own = len(spelled.version) > 1 or spelled.version[0] > _LAST_WITHOUT_MINOR
        if spelled.date or (is_anthropics_own and name == spelled.name):
            return spelled.name
        return like or spelled.name

    def _bedrock_name(self, spelled: Spelled) -> str:
        """As Bedrock calls it, of the region that the CLI's own names are of."""
        before = next((id_.partition("claude-")[0] for id_ in self.ids if is_bedrock(id_)), "anthropic.")
        version = f"-{spelled.date}-v1:0" if spelled.date else ""
        return f"{before}{spelled.undated}{version}{spelled.window}"

    def _like(self, spelled: Spelled) -> Iterator[str]:
        """The models of this name that are known; those of Anthropic's API only where that answers."""
        known = (*self.ids, *DATED) if self.method in (AuthMethod.CLI, AuthMethod.API_KEY) else self.ids
        return (id_ for id_ in known if (one := read(id_)) is not None and spelled.means(one))


def _dated(spelled: Spelled) -> Spelled:
    """With the date that is known of it."""
    known = (read(name) for name in DATED)
    date = next((one.date for one in known if one and replace(spelled, window="").means(one)), spelled.date)
    return replace(spelled, date=date)


def _newest(ids: Iterable[str]) -> dict[str, str]:
    """The newest of each family."""
    newest: dict[str, tuple[tuple[int, ...], str]] = {}
    for id_ in ids:
        spelled = read(id_)
        if spelled is not None and not spelled.window and spelled.family in FAMILIES:
            newest[spelled.family] = max(newest.get(spelled.family, ((), "")), (spelled.version, id_))
    return {family: id_ for family, (_, id_) in newest.items()}


def first_model(default: str, method: AuthMethod) -> str:
    """What a process is started with before any has said what the words mean. Of Bedrock's names nothing is known
    before: there the process is given the word."""
    return default if method is AuthMethod.BEDROCK else CURRENT.get(default, default)


def model_not_allowed() -> ApiError:
    return ApiError(
        403, "permission_error", "This key may not use that model.", code="model_not_allowed", param="model"
    )


def unknown_model(name: str) -> ApiError:
    shown = name[:100].encode("ascii", "backslashreplace").decode()
    return ApiError(
        404,
        "invalid_request_error",
        f"The model '{shown}' does not exist here. GET /v1/models lists those that do.",
        code="model_not_found",
        param="model",
    )
