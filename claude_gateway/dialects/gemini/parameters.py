"""Tables that say which parameters of a Gemini request this gateway supports. No I/O.

The warnings to clients and the documentation come from these tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic.alias_generators import to_camel

from claude_gateway.dialects.common.parameters import support
from claude_gateway.dialects.common.parameters.support import (
    NOT_SUPPORTED,
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    NeutralValues,
    ParameterSupport,
    Support,
    SupportTable,
    drop_unset,
)

PARAMETERS: SupportTable = {
    "contents": (Support.SUPPORTED, ""),
    "systemInstruction": (Support.SUPPORTED, ""),
    "generationConfig": (Support.SUPPORTED, ""),
    "tools": (
        Support.SUPPORTED,
        "functions; in a request without functions, built-in tools replace hosted tools of the same kind",
    ),
    "toolConfig": (Support.SUPPORTED, ""),
    "cachedContent": (Support.REJECTED, "the gateway does not cache content under a name; send the content itself"),
    "sessionId": (Support.SUPPORTED, ""),
    "enableTools": (Support.SUPPORTED, ""),
    "streamToolProgress": (Support.SUPPORTED, ""),
    "model": (Support.IGNORED, "the path of the request contains the model"),
    "safetySettings": (Support.IGNORED, "clients cannot configure Claude's safeguards"),
    "labels": (Support.IGNORED, "the gateway does not store them"),
    "store": (Support.IGNORED, "the gateway does not store responses of this API"),
    "serviceTier": (Support.IGNORED, "the login of this gateway determines the tier"),
}
GENERATION_CONFIG: SupportTable = {
    "temperature": (Support.SUPPORTED, ""),
    "topP": (Support.SUPPORTED, ""),
    "topK": (Support.SUPPORTED, ""),
    "maxOutputTokens": (Support.SUPPORTED, ""),
    "stopSequences": (Support.SUPPORTED, ""),
    "thinkingConfig": (Support.SUPPORTED, ""),
    "candidateCount": (Support.IGNORED, NOT_SUPPORTED),
    "responseMimeType": (
        Support.EMULATED,
        "`application/json` through an instruction. The gateway validates the reply",
    ),
    "responseSchema": (Support.EMULATED, "the gateway converts it to JSON Schema; then as `responseJsonSchema`"),
    "responseJsonSchema": (
        Support.EMULATED,
        "through the structured outputs of the model if they support the schema, otherwise through an instruction. The "
        "gateway validates the reply, and asks the model once to correct it",
    ),
    "seed": (Support.IGNORED, "Claude has no such parameter"),
    "frequencyPenalty": (Support.IGNORED, "Claude has no such parameter"),
    "presencePenalty": (Support.IGNORED, "Claude has no such parameter"),
    "responseLogprobs": (Support.IGNORED, "Claude returns no log probabilities"),
    "logprobs": (Support.IGNORED, "Claude returns no log probabilities"),
    "responseModalities": (Support.IGNORED, "Claude answers in text"),
    "speechConfig": (Support.IGNORED, "Claude answers in text"),
    "imageConfig": (Support.IGNORED, "Claude answers in text"),
    "mediaResolution": (Support.IGNORED, "Claude has no such parameter"),
    "audioTimestamp": (Support.IGNORED, "Claude has no such parameter"),
}
TOOL_CONFIG: SupportTable = {
    "functionCallingConfig": (Support.SUPPORTED, ""),
    "retrievalConfig": (Support.IGNORED, NOT_SUPPORTED),
    "includeServerSideToolInvocations": (Support.IGNORED, NOT_SUPPORTED),
}
FUNCTION_CALLING_CONFIG: SupportTable = {
    "mode": (Support.SUPPORTED, ""),
    "allowedFunctionNames": (Support.SUPPORTED, ""),
    "streamFunctionCallArguments": (Support.IGNORED, "the stream contains each call in one piece"),
}
THINKING_CONFIG: SupportTable = {
    "includeThoughts": (Support.SUPPORTED, ""),
    "thinkingBudget": (Support.SUPPORTED, ""),
    "thinkingLevel": (Support.SUPPORTED, ""),
}
_NESTED_TABLES: Mapping[str, SupportTable] = {
    "generationConfig": GENERATION_CONFIG,
    "generationConfig.thinkingConfig": THINKING_CONFIG,
    "toolConfig": TOOL_CONFIG,
    "toolConfig.functionCallingConfig": FUNCTION_CALLING_CONFIG,
}
# In these fields, a blank text is a value. In all other fields, a blank text means "not set".
_BLANK_ALLOWED_FIELDS = frozenset({"contents", "systemInstruction", "sessionId"})
_NEUTRAL_VALUES: NeutralValues = {
    **{
        name: UNSET_TEXT
        for table in (PARAMETERS, *_NESTED_TABLES.values())
        for name in table
        if name not in _BLANK_ALLOWED_FIELDS
    },
    "maxOutputTokens": UNSET_LIMIT,
    "topP": UNSET_LIMIT,
    "topK": UNSET_TOP_K,
    "seed": UNSET_LIMIT,
    "candidateCount": (*UNSET_TEXT, 1),
    "frequencyPenalty": (*UNSET_TEXT, 0),
    "presencePenalty": (*UNSET_TEXT, 0),
    "logprobs": (*UNSET_TEXT, 0),
    "responseModalities": (*UNSET_TEXT, ["TEXT"], ["text"]),
    "mediaResolution": (*UNSET_TEXT, "MEDIA_RESOLUTION_UNSPECIFIED"),
    "serviceTier": (*UNSET_TEXT, "auto", "default", "standard"),
}
_UNBLOCKED_THRESHOLDS = ("BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")


def warnings(fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each top-level parameter in a request that the gateway ignores.

    If the value of a parameter is the default value or means "not set", there is no warning.
    """
    return find_nested_warnings(
        "", PARAMETERS, {name: value for name, value in fields.items() if not _is_safety_off(name, value)}
    )


def drop_unset_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, or of an object in the request, without fields that mean "not set"."""
    neutral = {name: _NEUTRAL_VALUES.get(to_camel(name) if "_" in name else name, ()) for name in fields}
    return drop_unset(fields, neutral)


def find_nested_warnings(path_prefix: str, table: SupportTable, fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each parameter in an object of the request that the gateway ignores.

    Args:
        path_prefix: The field path of the object, with a dot at the end.
        table: The table that says which parameters of the object the gateway supports.
        fields: The parameters of the object.
    """
    warnings = support.find_parameter_warnings(
        {_canonicalize_name(name, table): value for name, value in fields.items()}, table, _NEUTRAL_VALUES
    )
    return [f"{path_prefix}{warning}" for warning in warnings]


def classify(fields: Mapping[str, Any]) -> list[ParameterSupport]:
    """Return one entry for each parameter in a request. The entry says whether the gateway supports the parameter.

    For a parameter in a nested object, the name in the result is the field path, such as `generationConfig.topK`.
    """
    top_level = {name: None if _is_safety_off(name, value) else value for name, value in fields.items()}
    result = _classify_nested("", PARAMETERS, top_level)
    for field_path, table in _NESTED_TABLES.items():
        result += _classify_nested(f"{field_path}.", table, _get_nested_object(fields, field_path.split(".")))
    return result


def _classify_nested(path_prefix: str, table: SupportTable, fields: Mapping[str, Any]) -> list[ParameterSupport]:
    canonical = {_canonicalize_name(name, table): value for name, value in fields.items()}
    return [
        replace(parameter, name=f"{path_prefix}{parameter.name}")
        for parameter in support.classify_parameters(canonical, table, _NEUTRAL_VALUES)
    ]


def _get_nested_object(fields: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """Return the object at a field path, or an empty object if the request has no object there.

    The field names in the request may be in camel case or in snake case.
    """
    nested: Any = fields
    for name in path:
        field_names = {to_camel(field) if "_" in field else field: field for field in nested}
        nested = nested.get(field_names.get(name, name))
        if not isinstance(nested, Mapping):
            return {}
    return dict(nested)


def _canonicalize_name(name: str, table: SupportTable) -> str:
    camel = to_camel(name) if "_" in name else name
    return camel if camel in table else name


def _is_safety_off(name: str, value: Any) -> bool:
    """Return whether a parameter is `safetySettings` and switches all safeguards off.

    Most clients send such a value, so the gateway does not warn about it.
    """
    settings: Iterable[Any] = value if isinstance(value, list) else [value]
    return _canonicalize_name(name, PARAMETERS) == "safetySettings" and all(
        isinstance(setting, Mapping) and str(setting.get("threshold", "OFF")).upper() in _UNBLOCKED_THRESHOLDS
        for setting in settings
    )
