"""Types for the numbers of requests: strict, with a range, and one error text for a number out of its range. Pure."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AllowInfNan, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from claude_gateway.prompt.conversation import bad

# JSON writers refuse integers of more than 64 bits.
MAX_INTEGER = 2**63 - 1
# The type of the errors of `Range`.
OUT_OF_RANGE = "out_of_range"
_MAX_DIGITS = 20
_WRITTEN = re.compile(r"-?[0-9]{1,40}")


def range_text(value: float | str, least: float, most: float) -> str:
    """The error text for a value out of its range."""
    shown = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if len(shown) > _MAX_DIGITS:
        shown = f"{shown[:_MAX_DIGITS]}…" if isinstance(value, str) else f"{value:g}"
    return f"Input should be between {least} and {most}, not {shown}"


def read_number(text: str, name: str, least: int, most: int) -> int:
    """Read an integer of a query or a header. Raises `ApiError` 400 for other text, or out of its range."""
    if _WRITTEN.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    raise bad(name, range_text(text, least, most))


@dataclass(frozen=True, slots=True)
class Range:
    """The range of a number, both ends included. Annotates the type of a field."""

    least: float
    most: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "minimum": self.least, "maximum": self.most}

    def _check(self, value: float) -> float:
        if self.least <= value <= self.most:
            return value
        raise PydanticCustomError(OUT_OF_RANGE, "{told}", {"told": range_text(value, self.least, self.most)})


def _whole(value: Any) -> Any:
    """An integer for a float without a fraction: many programs write 40.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _WRITTEN.fullmatch(value) else _whole(value)


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "Input should be a valid number")
    return value


Integer = Annotated[int, Strict(), BeforeValidator(_whole)]
# Google's programs send integers as strings too.
IntegerOrText = Annotated[int, Strict(), BeforeValidator(_read)]
Number = Annotated[float, AllowInfNan(False), BeforeValidator(_not_a_bool)]
# A number of tokens, candidates or answers.
Count = Annotated[Integer, Range(1, MAX_INTEGER)]
CountOrText = Annotated[IntegerOrText, Range(1, MAX_INTEGER)]
Probability = Annotated[Number, Range(0, 1)]
