"""Pydantic types for the numbers in requests, and the error text for a number that is out of range. No I/O."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AllowInfNan, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from claude_gateway.core.errors import bad_request

# JSON encoders reject integers that do not fit into 64 bits.
MAX_INTEGER = 2**63 - 1
# The error type of the pydantic errors that `Range` raises.
OUT_OF_RANGE = "out_of_range"
_MAX_DIGITS = 20
_INTEGER_PATTERN = re.compile(r"-?[0-9]{1,40}")


def format_range_error(value: float | str, minimum: float, maximum: float) -> str:
    """Return the error text for a number that is less than the minimum or greater than the maximum."""
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if len(text) > _MAX_DIGITS:
        text = f"{text[:_MAX_DIGITS]}…" if isinstance(value, str) else f"{value:g}"
    return f"Input should be between {minimum} and {maximum}, not {text}"


def parse_integer(text: str, name: str, minimum: int, maximum: int) -> int:
    """Parse an integer from a query string or a header.

    Raises:
        ApiError: 400 if the text is not an integer, or if the integer is out of range.
    """
    if _INTEGER_PATTERN.fullmatch(text) and minimum <= int(text) <= maximum:
        return int(text)
    raise bad_request(name, format_range_error(text, minimum, maximum))


@dataclass(frozen=True, slots=True)
class Range:
    """Type annotation that limits a numeric field to the numbers from the minimum to the maximum inclusive."""

    minimum: float
    maximum: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "minimum": self.minimum, "maximum": self.maximum}

    def _check(self, value: float) -> float:
        if self.minimum <= value <= self.maximum:
            return value
        raise PydanticCustomError(
            OUT_OF_RANGE, "{message}", {"message": format_range_error(value, self.minimum, self.maximum)}
        )


def _to_integer(value: Any) -> Any:
    """Convert a float without a fraction to an integer, because many clients send numbers such as 40.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parse_number_text(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER_PATTERN.fullmatch(value) else _to_integer(value)


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "Input should be a valid number")
    return value


Integer = Annotated[int, Strict(), BeforeValidator(_to_integer)]
# Google's clients send some integers as strings.
IntegerOrText = Annotated[int, Strict(), BeforeValidator(_parse_number_text)]
Number = Annotated[float, AllowInfNan(False), BeforeValidator(_reject_bool)]
# A number of tokens, candidates or choices, at least 1.
Count = Annotated[Integer, Range(1, MAX_INTEGER)]
CountOrText = Annotated[IntegerOrText, Range(1, MAX_INTEGER)]
Probability = Annotated[Number, Range(0, 1)]
