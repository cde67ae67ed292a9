"""Check that a JSON Schema is valid, and that a reply matches a JSON Schema. No I/O.

The number of steps in a check depends on the schema and the reply, so a client can make a check take very long.
Therefore each check calls a function, the checkpoint, at every step. The checkpoint may raise an exception to stop the
check. For regular expressions in schemas, the check uses only an engine without backtracking.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

from claude_gateway.structured_output.pattern_cost import MAX_PATTERN_COST, estimate_pattern_cost
from claude_gateway.structured_output.schema_limits import Schema, iterate_patterns, needs_backtracking

# A function that a check calls at every step. It may raise an exception to stop the check.
Checkpoint = Callable[[], None]
KeywordValidator = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_MAX_PROBLEMS = 5
_MAX_PROBLEM_CHARS = 300


class _Check(FormatChecker):
    """The state of one check, which is the checkpoint function and the compiled regular expressions.

    The class derives from `FormatChecker`, because jsonschema passes the format checker of a validator to every nested
    validator. The class itself checks no formats.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(formats=())
        self.checkpoint = checkpoint
        self._matchers: dict[str, SchemaValidator] = {}

    def build_matcher(self, pattern: str) -> SchemaValidator | None:
        """Return a matcher with linear run time for a pattern, or None if the pattern needs backtracking.

        The check keeps the matcher in memory only until the check ends, because a matcher may need some megabytes.

        Raises:
            SchemaError: The pattern is invalid.
        """
        if needs_backtracking(pattern):
            return None
        if pattern not in self._matchers:
            self._matchers[pattern] = SchemaValidator(core_schema.str_schema(pattern=pattern, strict=True))
        return self._matchers[pattern]


@dataclass(frozen=True, slots=True)
class _IgnoredByCache:
    """Wrapper for a checkpoint function. `lru_cache` ignores the function, because all wrappers compare equal."""

    checkpoint: Checkpoint = field(compare=False)


def find_schema_problem(schema: Schema, checkpoint: Checkpoint) -> str | None:
    """Return the reason why a schema is invalid, or None if it is valid."""
    return _find_schema_problem(orjson.dumps(schema), _IgnoredByCache(checkpoint))


@lru_cache(maxsize=64)
def _find_schema_problem(encoded_schema: bytes, argument: _IgnoredByCache) -> str | None:
    """Return the reason why an encoded schema is invalid, or None if it is valid.

    The function caches its results, because clients send the same schema many times.
    """
    check = _Check(argument.checkpoint)
    schema = orjson.loads(encoded_schema)
    meta_schema = dict(_find_draft(schema).META_SCHEMA)
    try:
        # This check has as many steps as the schema has subschemas, and `schema_limits` limits the number of
        # subschemas.
        error = next(validator_for(meta_schema, default=Draft202012Validator)(meta_schema).iter_errors(schema), None)
    except RecursionError:
        return "it is nested too deeply"
    if error is not None:
        return _format_error(best_match([error]))
    return next(
        (
            f"{pattern[:80]!r} cannot be matched"
            for pattern in iterate_patterns(schema)
            if not _is_supported_pattern(pattern, check)
        ),
        None,
    )


def find_problems(schema: Schema | None, text: str, checkpoint: Checkpoint) -> list[str]:
    """Return the reasons why a text is not JSON or does not match a schema. The list is empty if the text is valid.

    Args:
        schema: A schema in which `find_schema_problem` found no problem. None allows any JSON object.
        text: The text of the reply.
        checkpoint: The check calls this function at every step.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return [f"it is not JSON: {error.msg} at character {error.pos}"]
    if schema is None:
        return [] if isinstance(value, dict) else ["it is JSON, but not an object"]
    draft = _with_checkpoints(_find_draft(schema))
    checker = draft(_remove_draft_name(schema), registry=Registry(), format_checker=_Check(checkpoint))
    try:
        return [_format_error(best_match([error])) for error in islice(checker.iter_errors(value), _MAX_PROBLEMS)]
    except RecursionError:
        return ["it is nested too deeply to be checked"]


def _find_draft(schema: Schema) -> type[Validator]:
    """Return the validator for the JSON Schema draft that the schema declares. The default is draft 2020-12."""
    declared = schema.get("$schema")
    return validator_for({"$schema": declared} if isinstance(declared, str) else {}, default=Draft202012Validator)


def _remove_draft_name(schema: Schema) -> Schema:
    """Return the schema without the name of its draft.

    If the schema named a draft, jsonschema would not use the keyword functions of this module.
    """
    return {name: value for name, value in schema.items() if name != "$schema"}


def _format_error(error: ValidationError) -> str:
    return f"{error.json_path}: {error.message}"[:_MAX_PROBLEM_CHARS]


@lru_cache(maxsize=16)
def _with_checkpoints(draft: type[Validator]) -> type[Validator]:
    """Return a copy of the validator for a JSON Schema draft whose keyword functions call the checkpoint.

    A keyword function checks the value of one schema keyword. The functions for regular expressions use an engine
    without backtracking.
    """
    replacements: Mapping[str, Any] = {
        "pattern": _validate_pattern,
        "patternProperties": _validate_pattern_properties,
        "additionalProperties": _validate_additional_properties,
        "uniqueItems": _validate_unique_items,
    }
    keywords: Mapping[str, Any] = {name: replacements.get(name, keyword) for name, keyword in draft.VALIDATORS.items()}
    checkpointed = {name: _with_checkpoint(keyword) for name, keyword in keywords.items()}
    extended: type[Validator] = extend(draft, checkpointed)  # type: ignore[no-untyped-call]
    return extended


def _with_checkpoint(keyword: KeywordValidator) -> KeywordValidator:
    def validate(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        _get_check(validator).checkpoint()
        return keyword(validator, value, instance, schema)

    return validate


def _get_check(validator: Any) -> _Check:
    check = validator.format_checker
    assert isinstance(check, _Check)
    return check


def _is_supported_pattern(pattern: str, check: _Check) -> bool:
    check.checkpoint()
    if estimate_pattern_cost(pattern) > MAX_PATTERN_COST:
        return False
    try:
        check.build_matcher(pattern)
    except SchemaError:
        return False
    return True


def _validate_pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    matcher = _get_check(validator).build_matcher(pattern)
    if isinstance(instance, str) and matcher is not None and not matcher.isinstance_python(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _validate_pattern_properties(
    validator: Any, pattern_properties: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in pattern_properties.items():
        matcher = _get_check(validator).build_matcher(pattern)
        for name, value in instance.items():
            if matcher is not None and matcher.isinstance_python(name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _validate_additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    matchers = [_get_check(validator).build_matcher(pattern) for pattern in schema.get("patternProperties", {})]
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
        yield ValidationError(f"additional properties are not allowed: {', '.join(map(repr, extras))}")


def _validate_unique_items(_: Any, unique: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Yield an error if an array with `uniqueItems` contains two equal items.

    The function compares the items in encoded form, because jsonschema would compare every pair of items.
    """
    if unique and isinstance(instance, list):
        distinct_items = {orjson.dumps(_normalize_numbers(item), option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(distinct_items) < len(instance):
            yield ValidationError("it has duplicate items")


def _normalize_numbers(value: Any) -> Any:
    """Convert each float such as 1.0 to an integer, because JSON Schema treats 1 and 1.0 as equal."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case list():
            return [_normalize_numbers(item) for item in value]
        case dict():
            return {name: _normalize_numbers(item) for name, item in value.items()}
    return value
