"""Functions that validate requests as the real Messages API does. Does no I/O.

Because of this validation, a test fails if the gateway or the CLI sends a request that the real API would reject.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from claude_gateway.devtools.fake_anthropic.schema_validation import find_output_schema_problems
from claude_gateway.devtools.fake_anthropic.thinking_signature import has_valid_signature

# This checker ignores formats such as `regex`, because regular expressions in Python differ from those in JavaScript.
_NO_FORMAT_CHECKS = FormatChecker(formats=())
_PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MODEL_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?:-|$)")
_MODELS_WITH_TEMPERATURE_AND_TOP_P = ("claude-opus-4-20250514", "claude-sonnet-4-20250514")
_MIN_THINKING_BUDGET_TOKENS = 1024
_MAX_CACHE_BREAKPOINTS = 4
_MAX_IMAGE_BASE64_BYTES = 5 * 1024 * 1024
_PNG_TRAILER = b"IEND\xae\x42\x60\x82"
# For each media type, a pattern that matches the first bytes of a file of this type.
_IMAGE_SIGNATURES = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}

Body = dict[str, Any]
Block = dict[str, Any]


def first_problem(body: Body) -> str | None:
    """Return the error message with which the real API rejects a request; None if it accepts the request.

    The error has the status 400 and the type `invalid_request_error`.
    """
    return next(_find_problems(body), None)


def rejects_sampling(model: str) -> bool:
    """Return whether a model rejects `temperature`, `top_p` and `top_k`. Models from version 4.7 on reject them."""
    return _is_at_least(model, (4, 7))


def _is_at_least(model: str, version: tuple[int, int]) -> bool:
    match = _MODEL_VERSION.match(model)
    return match is not None and (int(match[1]), int(match[2] or 0)) >= version


def _is_older_than(model: str, version: tuple[int, int]) -> bool:
    return _MODEL_VERSION.match(model) is not None and not _is_at_least(model, version)


def supports_schemas(model: str) -> bool:
    """Return whether a model supports output schemas. Opus 4.1 and the models from version 4.5 on support them."""
    match = _MODEL_VERSION.match(model)
    return match is None or (int(match[1]), int(match[2] or 0)) >= (4, 5) or "opus-4-1-" in f"{model}-"


def _find_problems(body: Body) -> Iterator[str]:
    yield from _find_request_problems(body)
    yield from _find_thinking_problems(body)
    yield from _find_effort_problems(body)
    yield from _find_sampling_problems(body)
    yield from _find_tool_problems(body)
    yield from find_output_schema_problems(body, supports_schemas(body["model"]))
    if sum(1 for _ in _iter_cache_breakpoints(body)) > _MAX_CACHE_BREAKPOINTS:
        yield "A maximum of 4 blocks with cache_control may be provided."
    yield from _find_block_problems(body)
    yield from _find_tool_pairing_problems(body)
    yield from _find_media_problems(body)
    yield from _find_error_result_problems(body)


def _find_request_problems(body: Body) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    if not body.get("messages"):
        yield "messages: at least one message is required"
        return
    if body["messages"][0]["role"] != "user":
        yield 'messages: first message must use the "user" role'


def _find_thinking_problems(body: Body) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens", 0)
        if budget < _MIN_THINKING_BUDGET_TOKENS:
            yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        if body.get("max_tokens", 0) <= budget:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
        if _is_at_least(body["model"], (4, 7)):
            yield '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
        yield from _find_missing_thinking(body)
    if thinking.get("type") == "adaptive" and _is_older_than(body["model"], (4, 6)):
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


def _find_missing_thinking(body: Body) -> Iterator[str]:
    """Yield an error message if the last tool calls are in a message that does not begin with a thinking block.

    The API requires this thinking block only if the request sets a thinking budget.
    """
    messages = [message for message in body.get("messages", ()) if message["role"] != "system"]
    if len(messages) < 2 or not any(block["type"] == "tool_result" for block in _content_blocks(messages[-1])):
        return
    block_type = _content_blocks(messages[-2])[0]["type"]
    if block_type not in ("thinking", "redacted_thinking"):
        field_path = f"messages.{len(messages) - 2}.content.0.type"
        yield f"{field_path}: Expected `thinking` or `redacted_thinking`, but found `{block_type}`."


def _find_effort_problems(body: Body) -> Iterator[str]:
    effort = (body.get("output_config") or {}).get("effort")
    model = body["model"]
    if effort is None:
        return
    if _is_older_than(model, (4, 6)) and not model.startswith("claude-opus-4-5"):
        yield "This model does not support the effort parameter."
    elif (effort == "max" and _is_older_than(model, (4, 6))) or (effort == "xhigh" and _is_older_than(model, (4, 7))):
        yield f"output_config.effort: this model does not support {effort!r}"


def _find_sampling_problems(body: Body) -> Iterator[str]:
    parameters = [name for name in ("temperature", "top_p", "top_k") if name in body]
    if any(body[name] is None for name in parameters):
        yield f"{parameters[0]}: Input should be a valid number"
        return
    if parameters and rejects_sampling(body["model"]):
        yield f"`{parameters[0]}` is not supported by this model."
    if {"temperature", "top_p"} <= set(parameters) and body["model"] not in _MODELS_WITH_TEMPERATURE_AND_TOP_P:
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if not 0 <= body.get("temperature", 1) <= 1:
        yield "temperature: range: 0..1"


def _find_tool_problems(body: Body) -> Iterator[str]:
    for number, tool in enumerate(body.get("tools", ())):
        if not _TOOL_NAME.fullmatch(tool.get("name", "")):
            yield f"tools: name {tool.get('name')!r} does not match ^[a-zA-Z0-9_-]{{1,128}}$"
        schema = tool.get("input_schema", {"type": "object"})
        if schema.get("type") != "object":
            yield f"tools.{number}.custom.input_schema.type: Field required"
        if schema.keys() & {"anyOf", "oneOf", "allOf"}:
            message = "input_schema does not support oneOf, allOf, or anyOf at the top level"
            yield f"tools.{number}.custom.input_schema: {message}"
        properties = schema.get("properties")
        if isinstance(properties, dict) and not all(map(_PROPERTY_NAME.fullmatch, properties)):
            message = "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
            yield f"tools.{number}.custom.input_schema.properties: {message}"
        try:
            Draft202012Validator.check_schema(schema, format_checker=_NO_FORMAT_CHECKS)
        except SchemaError:
            yield f"tools.{number}.custom.input_schema: JSON schema is invalid. It must match draft 2020-12."


def _find_block_problems(body: Body) -> Iterator[str]:
    system = body.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        if not block["text"].strip():
            yield "system: text content blocks must contain non-whitespace text"
    for number, message in enumerate(body.get("messages", ())):
        if message["role"] == "system":
            continue
        if not message["content"]:
            yield f"messages.{number}: all messages must have non-empty content"
        for index, block in enumerate(_content_blocks(message)):
            if block["type"] == "text" and not block["text"].strip():
                yield f"messages.{number}: text content blocks must be non-empty"
            if block["type"] == "thinking" and not has_valid_signature(block):
                yield f"messages.{number}.content.{index}: Invalid `signature` in `thinking` block"


def _find_tool_pairing_problems(body: Body) -> Iterator[str]:
    """Yield error messages for tool calls without a result and for tool results without a call.

    The result of a tool call must be in the next user message.
    """
    open_ids: set[str] = set()
    seen_ids: set[str] = set()
    for number, message in enumerate(m for m in body.get("messages", ()) if m["role"] != "system"):
        blocks = _content_blocks(message)
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        is_result = [block["type"] == "tool_result" for block in blocks]
        if is_result != sorted(is_result, reverse=True):
            yield f"messages.{number}: `tool_result` blocks must come before other blocks"
        if results - open_ids:
            yield f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {results - open_ids}"
        if open_ids - results and message["role"] == "user":
            yield f"messages.{number}: `tool_use` ids were found without `tool_result` blocks: {open_ids - results}"
        if message["role"] == "user":
            open_ids = set()
        for id_ in (block["id"] for block in blocks if block["type"] == "tool_use"):
            if id_ in seen_ids:
                yield f"messages.{number}: `tool_use` ids must be unique"
            if not _TOOL_USE_ID.fullmatch(id_):
                yield f"messages.{number}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            seen_ids.add(id_)
            open_ids.add(id_)
    if open_ids:
        yield f"messages: `tool_use` ids were found without `tool_result` blocks: {open_ids}"


def _find_media_problems(body: Body) -> Iterator[str]:
    for field_path, block in _iter_blocks(body):
        source = block.get("source") or {}
        if block["type"] not in ("image", "document") or source.get("type") != "base64":
            continue
        try:
            raw = b64decode(source["data"], validate=True)
        except ValueError:
            yield f"{field_path}.source.base64: invalid base64 data"
            continue
        if block["type"] == "document" and not raw.startswith(b"%PDF-"):
            yield "The PDF specified was not valid."
        if block["type"] == "image":
            yield from (f"{field_path}.source.base64{problem}" for problem in _find_image_problems(source, raw))


def _find_image_problems(source: dict[str, Any], raw: bytes) -> Iterator[str]:
    signature = _IMAGE_SIGNATURES.get(source["media_type"])
    if signature is None:
        yield ".media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
    elif not signature.match(raw):
        yield f".data: Image does not match the provided media type {source['media_type']}"
    elif source["media_type"] == "image/png" and not raw.endswith(_PNG_TRAILER):
        yield ".data: Could not process image"
    if len(source["data"]) > _MAX_IMAGE_BASE64_BYTES:
        yield f": image exceeds 5 MB maximum: {len(source['data'])} bytes > {_MAX_IMAGE_BASE64_BYTES} bytes"


def _find_error_result_problems(body: Body) -> Iterator[str]:
    for field_path, block in _iter_blocks(body):
        if block["type"] != "tool_result" or not block.get("is_error"):
            continue
        content = block.get("content") or ()
        if not content:
            yield f"{field_path}.tool_result: content cannot be empty if `is_error` is true"
        elif any(part["type"] != "text" for part in content if not isinstance(content, str)):
            yield f"{field_path}.tool_result: all content must be type `text` if `is_error` is true"


def _iter_blocks(body: Body) -> Iterator[tuple[str, Block]]:
    """Yield the field path and the JSON object of each content block in the messages, including tool result blocks."""
    for number, message in enumerate(body.get("messages", ())):
        for index, block in enumerate(_content_blocks(message)):
            field_path = f"messages.{number}.content.{index}"
            yield field_path, block
            inner = block.get("content") if block["type"] == "tool_result" else None
            if isinstance(inner, list):
                yield from ((f"{field_path}.tool_result.content.{n}", part) for n, part in enumerate(inner))


def _content_blocks(message: dict[str, Any]) -> list[Block]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _iter_cache_breakpoints(value: Any) -> Iterator[None]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield None
        for inner in value.values():
            yield from _iter_cache_breakpoints(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _iter_cache_breakpoints(inner)
