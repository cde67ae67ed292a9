"""A job as a request of each dialect, written from the documentation of the dialects."""

import json
from collections.abc import Mapping
from typing import Any

from tests.e2e.random_jobs.job import Image, Job, Part, Text, ThinkingBlock, Tool, ToolCall, ToolResult, Turn

Json = dict[str, Any]


def request_path(job: Job) -> str:
    match job.dialect:
        case "chat":
            return "/v1/chat/completions"
        case "responses":
            return "/v1/responses"
        case "messages":
            return "/v1/messages"
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if job.stream else "generateContent"
            return f"/v1beta/models/{job.model}:{verb}"


def request_body(job: Job) -> Json:
    """Return the request body; `job.variant_bits` chooses among equivalent forms."""
    match job.dialect:
        case "chat":
            return _chat_body(job)
        case "responses":
            return _responses_body(job)
        case "messages":
            return _messages_body(job)
        case "gemini":
            return _gemini_body(job)


def use_variant(job: Job, bit: int) -> bool:
    """Return which of two equivalent forms to use for choice number `bit`."""
    return bool(job.variant_bits >> bit & 1)


# Chat completions: https://platform.openai.com/docs/api-reference/chat/create


def _chat_body(job: Job) -> Json:
    parameters = job.parameters
    role = "developer" if use_variant(job, 0) else "system"
    messages: list[Json] = [{"role": role, "content": _chat_content(job, (Text(text),))} for text in job.system]
    for turn in job.turns:
        messages += _chat_messages(job, turn)
    body: Json = {"model": job.model, "messages": messages, "stream": job.stream}
    if job.tools:
        body["tools"] = [{"type": "function", "function": _function_object(tool, "parameters")} for tool in job.tools]
    if parameters.max_tokens is not None:
        body["max_completion_tokens" if use_variant(job, 1) else "max_tokens"] = parameters.max_tokens
    if parameters.stop:
        body["stop"] = (
            parameters.stop[0] if len(parameters.stop) == 1 and use_variant(job, 2) else list(parameters.stop)
        )
    if parameters.tool_choice is not None:
        name = parameters.tool_choice.removeprefix("tool:")
        forced = {"type": "function", "function": {"name": name}}
        body["tool_choice"] = forced if name != parameters.tool_choice else {"any": "required"}.get(name, name)
    if parameters.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = parameters.parallel_tool_calls
    if parameters.thinking_budget_tokens is not None:
        body["anthropic_options"] = {
            "thinking": {"type": "enabled", "budget_tokens": parameters.thinking_budget_tokens}
        }
    return body | _sampling_fields(job, "temperature", "top_p", "top_k")


def _chat_messages(job: Job, turn: Turn) -> list[Json]:
    if turn.role == "assistant":
        texts = tuple(part for part in turn.parts if isinstance(part, Text))
        calls = [_chat_tool_call(job, part) for part in turn.parts if isinstance(part, ToolCall)]
        message: Json = {"role": "assistant", "content": _chat_content(job, texts) if texts else None}
        return [message | ({"tool_calls": calls} if calls else {})]
    messages = [
        {"role": "tool", "tool_call_id": part.call.id, "content": _chat_content(job, part.parts)}
        for part in turn.parts
        if isinstance(part, ToolResult)
    ]
    others = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
    return [*messages, *([{"role": "user", "content": _chat_content(job, others)}] if others else ())]


def _chat_content(job: Job, parts: tuple[Part, ...]) -> str | list[Json]:
    match parts:
        case ():
            return ""
        case (Text(text),) if use_variant(job, 3):
            return text
    return [_chat_part(part) for part in parts]


def _chat_part(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image_url", "image_url": {"url": _data_url(part)}}
    raise TypeError(part)


def _chat_tool_call(job: Job, call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments_json(job, call)}}


# Responses: https://platform.openai.com/docs/api-reference/responses/create


def _responses_body(job: Job) -> Json:
    parameters = job.parameters
    items: list[Json] = []
    system = list(job.system)
    body: Json = {"model": job.model, "stream": job.stream, "store": False}
    if system and use_variant(job, 0):
        body["instructions"] = system.pop(0)
    items += [{"role": "developer", "content": text} for text in system]
    for turn in job.turns:
        items += _response_items(job, turn)
    body["input"] = items
    if job.tools:
        body["tools"] = [
            {"type": "function", **_function_object(tool, "parameters"), "strict": False} for tool in job.tools
        ]
    if parameters.max_tokens is not None:
        body["max_output_tokens"] = parameters.max_tokens
    if parameters.tool_choice is not None:
        name = parameters.tool_choice.removeprefix("tool:")
        forced = {"type": "function", "name": name}
        body["tool_choice"] = forced if name != parameters.tool_choice else {"any": "required"}.get(name, name)
    if parameters.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = parameters.parallel_tool_calls
    return body | _sampling_fields(job, "temperature", "top_p", "top_k")


def _response_items(job: Job, turn: Turn) -> list[Json]:
    kind = "output_text" if turn.role == "assistant" else "input_text"
    items: list[Json] = []
    words: list[Json] = []
    for part in turn.parts:
        match part:
            case ToolCall():
                call = {"call_id": part.id, "name": part.name, "arguments": _arguments_json(job, part)}
                items.append({"type": "function_call", **call})
            case ToolResult():
                content: str | list[Json] = [_response_part(one, "input_text") for one in part.parts]
                match part.parts:
                    case ():
                        content = ""
                    case (Text(text),) if use_variant(job, 3):
                        content = text
                items.append({"type": "function_call_output", "call_id": part.call.id, "output": content})
            case _:
                words.append(_response_part(part, kind))
    message = {"type": "message", "role": turn.role, "content": words}
    if turn.role == "assistant":
        return [*([message] if words else ()), *items]
    return [*items, *([message] if words else ())]


def _response_part(part: Part, kind: str) -> Json:
    match part:
        case Text(text):
            return {"type": kind, "text": text}
        case Image():
            return {"type": "input_image", "image_url": _data_url(part)}
    raise TypeError(part)


# Messages: https://platform.claude.com/docs/en/api/messages


def _messages_body(job: Job) -> Json:
    parameters = job.parameters
    turns = [{"role": turn.role, "content": _message_content(job, turn.parts)} for turn in job.turns]
    body: Json = {"model": job.model, "max_tokens": parameters.max_tokens, "messages": turns, "stream": job.stream}
    if len(job.system) == 1 and use_variant(job, 0):
        body["system"] = job.system[0]
    elif job.system:
        body["system"] = [{"type": "text", "text": text} for text in job.system]
    if job.tools:
        body["tools"] = [_function_object(tool, "input_schema") for tool in job.tools]
    if parameters.stop:
        body["stop_sequences"] = list(parameters.stop)
    if parameters.tool_choice is not None or parameters.parallel_tool_calls is not None:
        name = (parameters.tool_choice or "auto").removeprefix("tool:")
        choice: Json = {"type": "tool", "name": name} if parameters.tool_choice not in (None, name) else {"type": name}
        if parameters.parallel_tool_calls is not None and name != "none":
            choice["disable_parallel_tool_use"] = not parameters.parallel_tool_calls
        body["tool_choice"] = choice
    if parameters.thinking_budget_tokens is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": parameters.thinking_budget_tokens}
    return body | _sampling_fields(job, "temperature", "top_p", "top_k")


def _message_content(job: Job, parts: tuple[Part, ...]) -> str | list[Json]:
    match parts:
        case (Text(text),) if use_variant(job, 3):
            return text
    return [_message_block(job, part) for part in parts]


def _message_block(job: Job, part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case ThinkingBlock(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case ToolCall(id_, name, arguments):
            return {"type": "tool_use", "id": id_, "name": name, "input": dict(arguments)}
        case ToolResult(call, inner, is_error):
            block: Json = {"type": "tool_result", "tool_use_id": call.id}
            if inner or use_variant(job, 4):
                block["content"] = _message_content(job, inner)
            return block | ({"is_error": True} if is_error else {})


# Gemini: https://ai.google.dev/api/generate-content


def _gemini_body(job: Job) -> Json:
    parameters = job.parameters
    roles = {"user": "user", "assistant": "model"}
    contents = [
        {"role": roles[turn.role], "parts": [_gemini_part(job, part) for part in turn.parts]} for turn in job.turns
    ]
    body: Json = {"contents": contents}
    if job.system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in job.system]}
    if job.tools:
        body["tools"] = [
            {"functionDeclarations": [_function_object(tool, "parametersJsonSchema") for tool in job.tools]}
        ]
    config: Json = _sampling_fields(job, "temperature", "topP", "topK")
    if parameters.max_tokens is not None:
        config["maxOutputTokens"] = parameters.max_tokens
    if parameters.stop:
        config["stopSequences"] = list(parameters.stop)
    if parameters.thinking_budget_tokens is not None:
        config["thinkingConfig"] = {"thinkingBudget": parameters.thinking_budget_tokens, "includeThoughts": True}
    if config:
        body["generationConfig"] = config
    if parameters.tool_choice is not None:
        name = parameters.tool_choice.removeprefix("tool:")
        if name != parameters.tool_choice:
            calling: Json = {"mode": "ANY", "allowedFunctionNames": [name]}
        else:
            calling = {"mode": name.upper()}
        body["toolConfig"] = {"functionCallingConfig": calling}
    return body


def _gemini_part(job: Job, part: Part) -> Json:
    with_id = use_variant(job, 0)
    match part:
        case Text(text):
            return {"text": text}
        case Image(media_type, data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case ToolCall(id_, name, arguments):
            call = {"name": name, "args": dict(arguments)}
            return {"functionCall": {"id": id_, **call} if with_id else call}
        case ToolResult(call_, inner):
            response = {"name": call_.name, "response": gemini_response(job, inner)}
            return {"functionResponse": {"id": call_.id, **response} if with_id else response}
    raise TypeError(part)


def gemini_response(job: Job, parts: tuple[Text | Image, ...]) -> Json:
    """Return the result of a function: under "output", or in another field, so that the whole object is the result."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    return {"output" if use_variant(job, 3) else "answer": texts[0]}


def _function_object(tool: Tool, schema_field: str) -> Json:
    header = {"name": tool.name} if tool.description is None else {"name": tool.name, "description": tool.description}
    return {**header, schema_field: tool.schema}


def _arguments_json(job: Job, call: ToolCall) -> str:
    return json.dumps(call.arguments, ensure_ascii=use_variant(job, 5))


def _data_url(image: Image) -> str:
    return f"data:{image.media_type};base64,{image.data}"


def _sampling_fields(job: Job, temperature: str, top_p: str, top_k: str) -> Json:
    parameters = job.parameters
    fields: Mapping[str, float | None] = {
        temperature: parameters.temperature,
        top_p: parameters.top_p,
        top_k: parameters.top_k,
    }
    return {name: value for name, value in fields.items() if value is not None}
