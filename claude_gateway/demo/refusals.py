"""What the real Messages API refuses with 400, so that no test passes on a request real users see fail. Pure."""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from claude_gateway.demo.schema_refusals import schema_complaints
from claude_gateway.demo.thoughts import is_signed

# Whether a pattern is one is not asked: Python's are others than JavaScript's.
_NO_FORMATS = FormatChecker(formats=())
_PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MODEL = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?:-|$)")
_MODELS_WITH_BOTH_SAMPLERS = ("claude-opus-4-20250514", "claude-sonnet-4-20250514")
_LEAST_THINKING_BUDGET = 1024
_MOST_CACHE_MARKS = 4
_MOST_IMAGE_BASE64 = 5 * 1024 * 1024
_END_OF_A_PNG = b"IEND\xae\x42\x60\x82"
# How the files of each type begin.
_IMAGES = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}

Body = dict[str, Any]
Block = dict[str, Any]


def refusal(body: Body) -> str | None:
    """Why the real API would answer 400 `invalid_request_error`, or None where it would not."""
    return next(_complaints(body), None)


def takes_no_sampling(model: str) -> bool:
    """True for the models from 4.7 on, which refuse temperature, top_p and top_k altogether."""
    return _at_least(model, (4, 7))


def _at_least(model: str, version: tuple[int, int]) -> bool:
    match = _MODEL.match(model)
    return match is not None and (int(match[1]), int(match[2] or 0)) >= version


def _before(model: str, version: tuple[int, int]) -> bool:
    return _MODEL.match(model) is not None and not _at_least(model, version)


def takes_schemas(model: str) -> bool:
    """False for the models before 4.5, other than Opus 4.1."""
    match = _MODEL.match(model)
    return match is None or (int(match[1]), int(match[2] or 0)) >= (4, 5) or "opus-4-1-" in f"{model}-"


def _complaints(body: Body) -> Iterator[str]:
    yield from _of_the_frame(body)
    yield from _of_thinking(body)
    yield from _of_effort(body)
    yield from _of_sampling(body)
    yield from _of_tools(body)
    yield from schema_complaints(body, takes_schemas(body["model"]))
    if sum(1 for _ in _cache_marks(body)) > _MOST_CACHE_MARKS:
        yield "A maximum of 4 blocks with cache_control may be provided."
    yield from _of_empty_blocks(body)
    yield from _of_tool_pairs(body)
    yield from _of_media(body)
    yield from _of_errors(body)


def _of_the_frame(body: Body) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    if not body.get("messages"):
        yield "messages: at least one message is required"
        return
    if body["messages"][0]["role"] != "user":
        yield 'messages: first message must use the "user" role'


def _of_thinking(body: Body) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens", 0)
        if budget < _LEAST_THINKING_BUDGET:
            yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        if body.get("max_tokens", 0) <= budget:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
        if _at_least(body["model"], (4, 7)):
            yield '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
        yield from _of_work_without_thoughts(body)
    if thinking.get("type") == "adaptive" and _before(body["model"], (4, 6)):
        yield "adaptive thinking is not supported on this model"
    edits = (body.get("context_management") or {}).get("edits", ())
    if thinking.get("type") == "disabled" and any(edit["type"].startswith("clear_thinking") for edit in edits):
        yield "context_management: `clear_thinking_20251015` requires `thinking` to be enabled"
    if thinking.get("type") in ("enabled", "adaptive"):
        if body.get("temperature", 1) != 1:
            yield "`temperature` may only be set to 1 when thinking is enabled."
        if "top_k" in body:
            yield "`top_k` must be unset when thinking is enabled."
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            yield "Thinking may not be enabled when tool_choice forces tool use."


def _of_work_without_thoughts(body: Body) -> Iterator[str]:
    """With a budget, a turn whose calls have just been answered must begin with a thought."""
    messages = [message for message in body.get("messages", ()) if message["role"] != "system"]
    if len(messages) < 2 or not any(block["type"] == "tool_result" for block in _blocks(messages[-1])):
        return
    kind = _blocks(messages[-2])[0]["type"]
    if kind not in ("thinking", "redacted_thinking"):
        number = len(messages) - 2
        yield f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`."


def _of_effort(body: Body) -> Iterator[str]:
    effort = (body.get("output_config") or {}).get("effort")
    model = body["model"]
    if effort is None:
        return
    if _before(model, (4, 6)) and not model.startswith("claude-opus-4-5"):
        yield "This model does not support the effort parameter."
    elif (effort == "max" and _before(model, (4, 6))) or (effort == "xhigh" and _before(model, (4, 7))):
        yield f"output_config.effort: this model does not support {effort!r}"


def _of_sampling(body: Body) -> Iterator[str]:
    given = [name for name in ("temperature", "top_p", "top_k") if name in body]
    if any(body[name] is None for name in given):
        yield f"{given[0]}: Input should be a valid number"
        return
    if given and takes_no_sampling(body["model"]):
        yield f"`{given[0]}` is not supported by this model."
    if {"temperature", "top_p"} <= set(given) and body["model"] not in _MODELS_WITH_BOTH_SAMPLERS:
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if not 0 <= body.get("temperature", 1) <= 1:
        yield "temperature: range: 0..1"


def _of_tools(body: Body) -> Iterator[str]:
    for number, tool in enumerate(body.get("tools", ())):
        if not _TOOL_NAME.fullmatch(tool.get("name", "")):
            yield f"tools: name {tool.get('name')!r} does not match ^[a-zA-Z0-9_-]{{1,128}}$"
        schema = tool.get("input_schema", {"type": "object"})
        if schema.get("type") != "object":
            yield f"tools.{number}.custom.input_schema.type: Field required"
        if schema.keys() & {"anyOf", "oneOf", "allOf"}:
            words = "input_schema does not support oneOf, allOf, or anyOf at the top level"
            yield f"tools.{number}.custom.input_schema: {words}"
        properties = schema.get("properties")
        if isinstance(properties, dict) and not all(map(_PROPERTY_NAME.fullmatch, properties)):
            words = "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
            yield f"tools.{number}.custom.input_schema.properties: {words}"
        try:
            Draft202012Validator.check_schema(schema, format_checker=_NO_FORMATS)
        except SchemaError:
            yield f"tools.{number}.custom.input_schema: JSON schema is invalid. It must match draft 2020-12."


def _of_empty_blocks(body: Body) -> Iterator[str]:
    system = body.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        if not block["text"].strip():
            yield "system: text content blocks must contain non-whitespace text"
    for number, message in enumerate(body.get("messages", ())):
        if message["role"] == "system":
            continue
        if not message["content"]:
            yield f"messages.{number}: all messages must have non-empty content"
        for index, block in enumerate(_blocks(message)):
            if block["type"] == "text" and not block["text"].strip():
                yield f"messages.{number}: text content blocks must be non-empty"
            if block["type"] == "thinking" and not is_signed(block):
                yield f"messages.{number}.content.{index}: Invalid `signature` in `thinking` block"


def _of_tool_pairs(body: Body) -> Iterator[str]:
    """Each `tool_use` is answered in the very next user message, and no result stands alone."""
    waiting: set[str] = set()
    used: set[str] = set()
    for number, message in enumerate(m for m in body.get("messages", ()) if m["role"] != "system"):
        blocks = _blocks(message)
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        kinds = [block["type"] == "tool_result" for block in blocks]
        if kinds != sorted(kinds, reverse=True):
            yield f"messages.{number}: `tool_result` blocks must come before other blocks"
        if results - waiting:
            yield f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {results - waiting}"
        if waiting - results and message["role"] == "user":
            yield f"messages.{number}: `tool_use` ids were found without `tool_result` blocks: {waiting - results}"
        if message["role"] == "user":
            waiting = set()
        for id_ in (block["id"] for block in blocks if block["type"] == "tool_use"):
            if id_ in used:
                yield f"messages.{number}: `tool_use` ids must be unique"
            if not _TOOL_USE_ID.fullmatch(id_):
                yield f"messages.{number}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            used.add(id_)
            waiting.add(id_)
    if waiting:
        yield f"messages: `tool_use` ids were found without `tool_result` blocks: {waiting}"


def _of_media(body: Body) -> Iterator[str]:
    for place, block in _all_blocks(body):
        source = block.get("source") or {}
        if block["type"] not in ("image", "document") or source.get("type") != "base64":
            continue
        try:
            raw = b64decode(source["data"], validate=True)
        except ValueError:
            yield f"{place}.source.base64: invalid base64 data"
            continue
        if block["type"] == "document" and not raw.startswith(b"%PDF-"):
            yield "The PDF specified was not valid."
        if block["type"] == "image":
            yield from (f"{place}.source.base64{complaint}" for complaint in _of_image(source, raw))


def _of_image(source: dict[str, Any], raw: bytes) -> Iterator[str]:
    beginning = _IMAGES.get(source["media_type"])
    if beginning is None:
        yield ".media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
    elif not beginning.match(raw):
        yield f".data: Image does not match the provided media type {source['media_type']}"
    elif source["media_type"] == "image/png" and not raw.endswith(_END_OF_A_PNG):
        yield ".data: Could not process image"
    if len(source["data"]) > _MOST_IMAGE_BASE64:
        yield f": image exceeds 5 MB maximum: {len(source['data'])} bytes > {_MOST_IMAGE_BASE64} bytes"


def _of_errors(body: Body) -> Iterator[str]:
    for place, block in _all_blocks(body):
        if block["type"] != "tool_result" or not block.get("is_error"):
            continue
        content = block.get("content") or ()
        if not content:
            yield f"{place}.tool_result: content cannot be empty if `is_error` is true"
        elif any(part["type"] != "text" for part in content if not isinstance(content, str)):
            yield f"{place}.tool_result: all content must be type `text` if `is_error` is true"


def _all_blocks(body: Body) -> Iterator[tuple[str, Block]]:
    """Every block of the messages, those of tool results too, with its place."""
    for number, message in enumerate(body.get("messages", ())):
        for index, block in enumerate(_blocks(message)):
            place = f"messages.{number}.content.{index}"
            yield place, block
            inner = block.get("content") if block["type"] == "tool_result" else None
            if isinstance(inner, list):
                yield from ((f"{place}.tool_result.content.{n}", part) for n, part in enumerate(inner))


def _blocks(message: dict[str, Any]) -> list[Block]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _cache_marks(value: Any) -> Iterator[None]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield None
        for inner in value.values():
            yield from _cache_marks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _cache_marks(inner)
