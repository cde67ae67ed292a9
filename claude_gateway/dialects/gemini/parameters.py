"""What becomes of each parameter of a Gemini request. One table, from which warnings and documentation come."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic.alias_generators import to_camel

from claude_gateway.prompt import parameters
from claude_gateway.prompt.parameters import (
    LATER,
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    Neutral,
    Table,
    Treated,
    Treatment,
    drop_unset,
)

PARAMETERS: Table = {
    "contents": (Treatment.HONOURED, ""),
    "systemInstruction": (Treatment.HONOURED, ""),
    "generationConfig": (Treatment.HONOURED, ""),
    "tools": (Treatment.HONOURED, "without functions, Google's own are done by Claude's own where it has them"),
    "toolConfig": (Treatment.HONOURED, ""),
    "cachedContent": (Treatment.REFUSED, "nothing is cached here under a name; send the content itself"),
    "sessionId": (Treatment.HONOURED, ""),
    "enableTools": (Treatment.HONOURED, ""),
    "streamToolProgress": (Treatment.HONOURED, ""),
    "model": (Treatment.IGNORED, "the model is the one of the path"),
    "safetySettings": (Treatment.IGNORED, "Claude's own safeguards cannot be set"),
    "labels": (Treatment.IGNORED, "nothing is stored"),
    "store": (Treatment.IGNORED, "nothing is stored"),
    "serviceTier": (Treatment.IGNORED, "the tier is that of the login"),
}
GENERATION_CONFIG: Table = {
    "temperature": (Treatment.HONOURED, ""),
    "topP": (Treatment.HONOURED, ""),
    "topK": (Treatment.HONOURED, ""),
    "maxOutputTokens": (Treatment.HONOURED, ""),
    "stopSequences": (Treatment.HONOURED, ""),
    "thinkingConfig": (Treatment.HONOURED, ""),
    "candidateCount": (Treatment.IGNORED, LATER),
    "responseMimeType": (Treatment.EMULATED, "`application/json`: asked for in words, and checked"),
    "responseSchema": (Treatment.EMULATED, "as JSON Schema, and then as that"),
    "responseJsonSchema": (
        Treatment.EMULATED,
        "by the model's own structured outputs where it has them and they can say the schema, else asked for in words; "
        "the answer is checked, and once asked for again",
    ),
    "seed": (Treatment.IGNORED, "Claude has no such parameter"),
    "frequencyPenalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "presencePenalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "responseLogprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "responseModalities": (Treatment.IGNORED, "Claude answers in text"),
    "speechConfig": (Treatment.IGNORED, "Claude answers in text"),
    "imageConfig": (Treatment.IGNORED, "Claude answers in text"),
    "mediaResolution": (Treatment.IGNORED, "Claude has no such parameter"),
    "audioTimestamp": (Treatment.IGNORED, "Claude has no such parameter"),
}
TOOL_CONFIG: Table = {
    "functionCallingConfig": (Treatment.HONOURED, ""),
    "retrievalConfig": (Treatment.IGNORED, LATER),
    "includeServerSideToolInvocations": (Treatment.IGNORED, LATER),
}
FUNCTION_CALLING_CONFIG: Table = {
    "mode": (Treatment.HONOURED, ""),
    "allowedFunctionNames": (Treatment.HONOURED, ""),
    "streamFunctionCallArguments": (Treatment.IGNORED, "a call comes whole"),
}
THINKING_CONFIG: Table = {
    "includeThoughts": (Treatment.HONOURED, ""),
    "thinkingBudget": (Treatment.HONOURED, ""),
    "thinkingLevel": (Treatment.HONOURED, ""),
}
_INSIDE: Mapping[str, Table] = {
    "generationConfig": GENERATION_CONFIG,
    "generationConfig.thinkingConfig": THINKING_CONFIG,
    "toolConfig": TOOL_CONFIG,
    "toolConfig.functionCallingConfig": FUNCTION_CALLING_CONFIG,
}
# In these a blank text is what the client says.
_TEXTS = frozenset({"contents", "systemInstruction", "sessionId"})
_NEUTRAL: Neutral = {
    **{name: UNSET_TEXT for table in (PARAMETERS, *_INSIDE.values()) for name in table if name not in _TEXTS},
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
_OFF = ("BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter of the request itself that was sent, asks for something and is not honoured."""
    return below("", PARAMETERS, {name: value for name, value in sent.items() if not _blocks_nothing(name, value)})


def drop_unset_fields(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the request, or of an object inside it, without those whose value means "not set"."""
    neutral = {name: _NEUTRAL.get(to_camel(name) if "_" in name else name, ()) for name in sent}
    return drop_unset(sent, neutral)


def below(prefix: str, table: Table, sent: Mapping[str, Any]) -> list[str]:
    """The same for an object inside it, whose place `prefix` names."""
    lines = parameters.warnings({_known(name, table): value for name, value in sent.items()}, table, _NEUTRAL)
    return [f"{prefix}{line}" for line in lines]


def treated(sent: Mapping[str, Any]) -> list[Treated]:
    """What becomes of each parameter of a whole request, those of the objects inside it named by their places."""
    found = _treated("", PARAMETERS, {k: None if _blocks_nothing(k, value) else value for k, value in sent.items()})
    for place, table in _INSIDE.items():
        found += _treated(f"{place}.", table, _at(sent, place.split(".")))
    return found


def _treated(prefix: str, table: Table, sent: Mapping[str, Any]) -> list[Treated]:
    known = {_known(name, table): value for name, value in sent.items()}
    return [replace(one, name=f"{prefix}{one.name}") for one in parameters.treated(known, table, _NEUTRAL)]


def _at(sent: Mapping[str, Any], place: Sequence[str]) -> Mapping[str, Any]:
    """The object at a place, whichever case its keys are in; an empty one for none."""
    found: Any = sent
    for name in place:
        names = {to_camel(key) if "_" in key else key: key for key in found}
        found = found.get(names.get(name, name))
        if not isinstance(found, Mapping):
            return {}
    return dict(found)


def _known(name: str, table: Table) -> str:
    camel = to_camel(name) if "_" in name else name
    return camel if camel in table else name


def _blocks_nothing(name: str, value: Any) -> bool:
    """Safety settings that switch safeguards off, as most programs do, ask for nothing that is not so."""
    settings: Iterable[Any] = value if isinstance(value, list) else [value]
    return _known(name, PARAMETERS) == "safetySettings" and all(
        isinstance(one, Mapping) and str(one.get("threshold", "OFF")).upper() in _OFF for one in settings
    )
