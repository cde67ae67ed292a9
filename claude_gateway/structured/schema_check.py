"""Whether a schema is one, and whether a text is what it asks for. Pure.

Either can be made to take very long, so whoever asks hands in `tick`, which is called at every step that a caller
can multiply, and may raise; and no regular expression of a caller's meets an engine that backtracks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

from claude_gateway.structured.pattern_cost import MAX_COST, cost
from claude_gateway.structured.schemas import Schema, backtracks, patterns

Tick = Callable[[], None]
Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_MOST_FAULTS = 5
_LONGEST_FAULT = 300

_tick: ContextVar[Tick] = ContextVar("tick")
_built: ContextVar[dict[str, SchemaValidator]] = ContextVar("built")


def complaint(schema: Schema, tick: Tick) -> str | None:
    """What makes it no schema, or None."""
    _tick.set(tick)
    return _complaint(orjson.dumps(schema))


@lru_cache(maxsize=64)
def _complaint(raw: bytes) -> str | None:
    """Remembered, because a program sends the same schema all day long."""
    _built.set({})
    schema = orjson.loads(raw)
    meta_schema = dict(_draft(schema).META_SCHEMA)
    try:
        # As many steps as the schema has parts, and those are bounded.
        error = next(validator_for(meta_schema, default=Draft202012Validator)(meta_schema).iter_errors(schema), None)
    except RecursionError:
        return "it is nested too deep"
    if error is not None:
        return _sentence(best_match([error]))
    return next((f"{pattern[:80]!r} cannot be matched" for pattern in patterns(schema) if not _is_known(pattern)), None)


def faults(schema: Schema | None, text: str, tick: Tick) -> list[str]:
    """Where the text is not what the schema asks for; none when it is. Without a schema it must be a JSON object.

    Takes only what `complaint` has nothing to say of.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return [f"it is not JSON: {error.msg} at character {error.pos}"]
    if schema is None:
        return [] if isinstance(value, dict) else ["it is JSON, but not an object"]
    _tick.set(tick)
    _built.set({})
    checker = _ticking(_draft(schema))(_undeclared(schema), registry=Registry())
    try:
        return [_sentence(best_match([error])) for error in islice(checker.iter_errors(value), _MOST_FAULTS)]
    except RecursionError:
        return ["it is nested too deep to be checked"]


def _draft(schema: Schema) -> type[Validator]:
    """The draft that the schema says it is written in, where that is a known one."""
    declared = schema.get("$schema")
    return validator_for({"$schema": declared} if isinstance(declared, str) else {}, default=Draft202012Validator)


def _undeclared(schema: Schema) -> Schema:
    """Without the name of its draft, at which the library would go over to keywords of its own."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def _sentence(error: ValidationError) -> str:
    return f"{error.json_path}: {error.message}"[:_LONGEST_FAULT]


@lru_cache(maxsize=16)
def _ticking(draft: type[Validator]) -> type[Validator]:
    """A draft whose keywords tick, and use the engine of this module."""
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    known: Mapping[str, Any] = {name: own.get(name, keyword) for name, keyword in draft.VALIDATORS.items()}
    ticking: type[Validator] = extend(draft, {name: _with_tick(keyword) for name, keyword in known.items()})  # type: ignore[no-untyped-call]
    return ticking


def _with_tick(keyword: Keyword) -> Keyword:
    def ticking(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        _tick.get()()
        return keyword(validator, value, instance, schema)

    return ticking


def _matcher(pattern: str) -> SchemaValidator | None:
    """Matches in linear time; None for a pattern that cannot be matched so. Raises `SchemaError`.

    Kept for the length of one check alone: one may take some megabytes.
    """
    if backtracks(pattern):
        return None
    built = _built.get()
    if pattern not in built:
        built[pattern] = SchemaValidator(core_schema.str_schema(pattern=pattern, strict=True))
    return built[pattern]


def _is_known(pattern: str) -> bool:
    _tick.get()()
    if cost(pattern) > MAX_COST:
        return False
    try:
        _matcher(pattern)
    except SchemaError:
        return False
    return True


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    matcher = _matcher(pattern)
    if isinstance(instance, str) and matcher is not None and not matcher.isinstance_python(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, by_pattern: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in by_pattern.items():
        matcher = _matcher(pattern)
        for name, value in instance.items():
            if matcher is not None and matcher.isinstance_python(name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    matchers = [_matcher(pattern) for pattern in schema.get("patternProperties", {})]
    extras = [
        name
        for name in instance
        if name not in schema.get("properties", {})
        and not any(matcher is None or matcher.isinstance_python(name) for matcher in matchers)
    ]
    if isinstance(allowed, Mapping):
        for name in extras:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extras:
        yield ValidationError(f"{', '.join(map(repr, extras))} must not be there")


def _unique_items(_: Any, unique: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    """By hash: the library compares each with each."""
    if unique and isinstance(instance, list):
        seen = {orjson.dumps(_comparable(item), option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("it has items that are not unique")


def _comparable(value: Any) -> Any:
    """To JSON Schema 1 and 1.0 are one number."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case list():
            return [_comparable(item) for item in value]
        case dict():
            return {name: _comparable(item) for name, item in value.items()}
    return value
