"""The models: which exist, which a name means, whether a name is ours to pass on. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_gateway.errors import ApiError
from claude_gateway.models.aliases import DEFAULTS, Alias
from claude_gateway.models.succession import SUCCESSIONS

# It travels in a response header too, so nothing but printable ASCII of a bounded length.
# No slash and no percent sign: on Vertex the name becomes a part of a path.
_CLAUDE_NAME = re.compile(r"claude-[A-Za-z0-9._:@\[\]-]{1,128}")
_DATE = re.compile(r"-\d{8}$")
# What a model may be called where it is not Anthropic's own API that answers.
_OF_A_PROVIDER = re.compile(r"claude-|arn:aws|([a-z]+\.)?anthropic\.")
_LONGEST_NAME = 200
LISTED = (
    "claude-opus-4-5-20250929",
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-1-20250805",
    "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
)
# What a word for a size means where the CLI does not say it: of its own words it knows the newest models.
_SIZES = {"opus": LISTED[0], "sonnet": LISTED[1], "haiku": LISTED[2]}
# How editors write Claude's names: claude-sonnet-4.5, claude-4.5-sonnet, either with suffixes.
_FAMILY = "(?P<family>opus|sonnet|haiku)"
_SUFFIXES = r"(?P<suffixes>(-(thinking|fast|minimal|low|medium|high|xhigh|max))*)"
_EDITORS = (
    re.compile(rf"claude-{_FAMILY}-(?P<major>\d+)(?P<sign>[.-])(?P<minor>\d{{1,2}}){_SUFFIXES}"),
    re.compile(rf"claude-(?P<major>\d+)((?P<sign>\.)(?P<minor>\d{{1,2}}))?-{_FAMILY}{_SUFFIXES}"),
)
_FIRST_OF_TODAYS_NAMES = 4


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The listed models, then what the installed CLI reported at its start. `words` are names for a model that
    change with time: `default`, and the CLI's own. `gone` are models that the upstream refused and that have an
    heir."""

    ids: tuple[str, ...]
    words: Mapping[str, str]
    aliases: tuple[Alias, ...] = ()
    gone: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, reported: Iterable[Mapping[str, Any]], default: str = LISTED[1], aliases: tuple[Alias, ...] = ()
    ) -> "Catalogue":
        """`reported` is `models` of the CLI's answer to `initialize`. Raises `ValueError` at an alias for no model."""
        found = [(str(model.get("value")), model["resolvedModel"]) for model in reported if "resolvedModel" in model]
        ids = tuple(dict.fromkeys([*LISTED, *(model for _, model in found), default]))
        words = {**_SIZES, **{word: model for word, model in found if word not in ids}, "default": default}
        for alias in aliases:
            if alias.target not in (*words, *ids) and not _OF_A_PROVIDER.match(alias.target):
                raise ValueError(f"the alias {alias.pattern} names no model; the words for one are {', '.join(words)}")
        return cls(ids, words, aliases)

    @property
    def names(self) -> tuple[str, ...]:
        """What is listed: the models, then the operator's own names for some of them."""
        own = [alias.pattern for alias in self.aliases if alias.exact and alias not in DEFAULTS]
        return tuple(dict.fromkeys([*(id_ for id_ in self.ids if id_ not in self.gone), *own]))

    def without(self, model: str) -> "Catalogue":
        """The same after the upstream refused a model: where it has an heir, its names mean that one from now on."""
        if model not in SUCCESSIONS:
            return self
        without = replace(self, gone=self.gone | {model})
        return self if without.living(model) == model else without

    def living(self, model: str) -> str:
        """The model that answers for one: itself, while the upstream takes it."""
        if model not in self.gone:
            return model
        heir = self.words.get(SUCCESSIONS[model].heir, SUCCESSIONS[model].heir)
        return model if heir in self.gone else heir

    def resolve(self, name: str) -> str:
        """The model to use for a name. Any `claude-*` is passed on. Raises `ApiError` 404 otherwise."""
        return self.living(self.meant(name))

    def meant(self, name: str) -> str:
        """The model that a name is for, living or not. Raises `ApiError` 404."""
        if len(name) > _LONGEST_NAME:
            raise unknown_model(name)
        is_ours = name in self.ids or name in self.words
        is_claude = _CLAUDE_NAME.fullmatch(name) is not None
        for alias in self.aliases:
            # A pattern for the names of others takes none of Claude's.
            takes_ours = alias.exact or alias.pattern.startswith("claude-")
            if (takes_ours or not (is_ours or is_claude)) and alias.matches(name):
                return self.words.get(alias.target, alias.target)
        if is_ours:
            return self.words.get(name, name)
        if is_claude:
            return self._of_an_editor(name)
        raise unknown_model(name)

    def get(self, name: str) -> str:
        """The id of a model of the list, also by its name without the date; or a name that an alias knows. Raises
        `ApiError` 404."""
        for id_ in self.ids:
            if name in (id_, _DATE.sub("", id_)):
                return id_
        if _CLAUDE_NAME.fullmatch(name):
            raise unknown_model(name)
        self.resolve(name)
        return name

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

    def _of_an_editor(self, name: str) -> str:
        """Claude's own name where an editor's spelling is sure to mean it; any other name as it is."""
        match = next((match for spelling in _EDITORS if (match := spelling.fullmatch(name))), None)
        if match is None or int(match["major"]) < _FIRST_OF_TODAYS_NAMES:
            return name
        if match["sign"] == "-" and not match["suffixes"]:
            return name
        version = "-".join(part for part in (match["major"], match["minor"]) if part)
        own = f"claude-{match['family']}-{version}"
        dated = re.compile(rf"{own}(-\d{{8}})?")
        return next((id_ for id_ in self.ids if dated.fullmatch(id_)), own)


def unknown_model(name: str) -> ApiError:
    shown = name[:100].encode("ascii", "backslashreplace").decode()
    return ApiError(
        404,
        "invalid_request_error",
        f"The model '{shown}' does not exist here. GET /v1/models lists those that do.",
        code="model_not_found",
        param="model",
    )
