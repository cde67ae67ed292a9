"""A job in the words of each dialect, written from the dialects' own documentation."""

import json
from collections.abc import Mapping
from typing import Any

from tests.e2e.random_jobs.job import Call, Job, Part, Picture, Result, Text, Thought, Tool, Turn

Json = dict[str, Any]


def path_of(job: Job) -> str:
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


def body_of(job: Job) -> Json:
    """The request's body. Where a dialect may say the same in two ways, `job.wording` chooses."""
    match job.dialect:
        case "chat":
            return _chat(job)
        case "responses":
            return _responses(job)
        case "messages":
            return _messages(job)
        case "gemini":
            return _gemini(job)


def says(job: Job, bit: int) -> bool:
    """One of the two ways, for each number of a choice."""
    return bool(job.wording >> bit & 1)


# Chat completions: https://platform.openai.com/docs/api-reference/chat/create


def _chat(job: Job) -> Json:
    said = job.parameters
    role = "developer" if says(job, 0) else "system"
    messages: list[Json] = [{"role": role, "content": _chat_content(job, (Text(text),))} for text in job.system]
    for turn in job.turns:
        messages += _chat_turn(job, turn)
    body: Json = {"model": job.model, "messages": messages, "stream": job.stream}
    if job.tools:
        body["tools"] = [{"type": "function", "function": _function(tool, "parameters")} for tool in job.tools]
    if said.max_tokens is not None:
        body["max_completion_tokens" if says(job, 1) else "max_tokens"] = said.max_tokens
    if said.stop:
        body["stop"] = said.stop[0] if len(said.stop) == 1 and says(job, 2) else list(said.stop)
    if said.choice is not None:
        name = said.choice.removeprefix("tool:")
        forced = {"type": "function", "function": {"name": name}}
        body["tool_choice"] = forced if name != said.choice else {"any": "required"}.get(name, name)
    if said.parallel is not None:
        body["parallel_tool_calls"] = said.parallel
    if said.budget is not None:
        body["anthropic_options"] = {"thinking": {"type": "enabled", "budget_tokens": said.budget}}
    return body | _sampling(job, "temperature", "top_p", "top_k")


def _chat_turn(job: Job, turn: Turn) -> list[Json]:
    if turn.role == "assistant":
        texts = tuple(part for part in turn.parts if isinstance(part, Text))
        calls = [_chat_call(job, part) for part in turn.parts if isinstance(part, Call)]
        message: Json = {"role": "assistant", "content": _chat_content(job, texts) if texts else None}
        return [message | ({"tool_calls": calls} if calls else {})]
    messages = [
        {"role": "tool", "tool_call_id": part.call.id, "content": _chat_content(job, part.parts)}
        for part in turn.parts
        if isinstance(part, Result)
    ]
    others = tuple(part for part in turn.parts if not isinstance(part, Result))
    return [*messages, *([{"role": "user", "content": _chat_content(job, others)}] if others else ())]


def _chat_content(job: Job, parts: tuple[Part, ...]) -> str | list[Json]:
    match parts:
        case ():
            return ""
        case (Text(text),) if says(job, 3):
            return text
    return [_chat_part(part) for part in parts]


def _chat_part(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Picture():
            return {"type": "image_url", "image_url": {"url": _data_url(part)}}
    raise TypeError(part)


def _chat_call(job: Job, call: Call) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(job, call)}}


# Responses: https://platform.openai.com/docs/api-reference/responses/create


def _responses(job: Job) -> Json:
    said = job.parameters
    items: list[Json] = []
    system = list(job.system)
    body: Json = {"model": job.model, "stream": job.stream, "store": False}
    if system and says(job, 0):
        body["instructions"] = system.pop(0)
    items += [{"role": "developer", "content": text} for text in system]
    for turn in job.turns:
        items += _response_items(job, turn)
    body["input"] = items
    if job.tools:
        body["tools"] = [{"type": "function", **_function(tool, "parameters"), "strict": False} for tool in job.tools]
    if said.max_tokens is not None:
        body["max_output_tokens"] = said.max_tokens
    if said.choice is not None:
        name = said.choice.removeprefix("tool:")
        forced = {"type": "function", "name": name}
        body["tool_choice"] = forced if name != said.choice else {"any": "required"}.get(name, name)
    if said.parallel is not None:
        body["parallel_tool_calls"] = said.parallel
    return body | _sampling(job, "temperature", "top_p", "top_k")


def _response_items(job: Job, turn: Turn) -> list[Json]:
    kind = "output_text" if turn.role == "assistant" else "input_text"
    items: list[Json] = []
    words: list[Json] = []
    for part in turn.parts:
        match part:
            case Call():
                call = {"call_id": part.id, "name": part.name, "arguments": _arguments(job, part)}
                items.append({"type": "function_call", **call})
            case Result():
                content: str | list[Json] = [_response_part(one, "input_text") for one in part.parts]
                match part.parts:
                    case ():
                        content = ""
                    case (Text(text),) if says(job, 3):
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
        case Picture():
            return {"type": "input_image", "image_url": _data_url(part)}
    raise TypeError(part)


# Messages: https://platform.claude.com/docs/en/api/messages


def _messages(job: Job) -> Json:
    said = job.parameters
    turns = [{"role": turn.role, "content": _message_content(job, turn.parts)} for turn in job.turns]
    body: Json = {"model": job.model, "max_tokens": said.max_tokens, "messages": turns, "stream": job.stream}
    if len(job.system) == 1 and says(job, 0):
        body["system"] = job.system[0]
    elif job.system:
        body["system"] = [{"type": "text", "text": text} for text in job.system]
    if job.tools:
        body["tools"] = [_function(tool, "input_schema") for tool in job.tools]
    if said.stop:
        body["stop_sequences"] = list(said.stop)
    if said.choice is not None or said.parallel is not None:
        name = (said.choice or "auto").removeprefix("tool:")
        choice: Json = {"type": "tool", "name": name} if said.choice not in (None, name) else {"type": name}
        if said.parallel is not None and name != "none":
            choice["disable_parallel_tool_use"] = not said.parallel
        body["tool_choice"] = choice
    if said.budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": said.budget}
    return body | _sampling(job, "temperature", "top_p", "top_k")


def _message_content(job: Job, parts: tuple[Part, ...]) -> str | list[Json]:
    match parts:
        case (Text(text),) if says(job, 3):
            return text
    return [_message_block(job, part) for part in parts]


def _message_block(job: Job, part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Picture(media_type, data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case Thought(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case Call(id_, name, arguments):
            return {"type": "tool_use", "id": id_, "name": name, "input": dict(arguments)}
        case Result(call, inner, failed):
            block: Json = {"type": "tool_result", "tool_use_id": call.id}
            if inner or says(job, 4):
                block["content"] = _message_content(job, inner)
            return block | ({"is_error": True} if failed else {})


# Gemini: https://ai.google.dev/api/generate-content


def _gemini(job: Job) -> Json:
    said = job.parameters
    roles = {"user": "user", "assistant": "model"}
    contents = [
        {"role": roles[turn.role], "parts": [_gemini_part(job, part) for part in turn.parts]} for turn in job.turns
    ]
    body: Json = {"contents": contents}
    if job.system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in job.system]}
    if job.tools:
        body["tools"] = [{"functionDeclarations": [_function(tool, "parametersJsonSchema") for tool in job.tools]}]
    config: Json = _sampling(job, "temperature", "topP", "topK")
    if said.max_tokens is not None:
        config["maxOutputTokens"] = said.max_tokens
    if said.stop:
        config["stopSequences"] = list(said.stop)
    if said.budget is not None:
        config["thinkingConfig"] = {"thinkingBudget": said.budget, "includeThoughts": True}
    if config:
        body["generationConfig"] = config
    if said.choice is not None:
        name = said.choice.removeprefix("tool:")
        if name != said.choice:
            calling: Json = {"mode": "ANY", "allowedFunctionNames": [name]}
        else:
            calling = {"mode": name.upper()}
        body["toolConfig"] = {"functionCallingConfig": calling}
    return body


def _gemini_part(job: Job, part: Part) -> Json:
    with_id = says(job, 0)
    match part:
        case Text(text):
            return {"text": text}
        case Picture(media_type, data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case Call(id_, name, arguments):
            call = {"name": name, "args": dict(arguments)}
            return {"functionCall": {"id": id_, **call} if with_id else call}
        case Result(call_, inner):
            answer = {"name": call_.name, "response": gemini_response(job, inner)}
            return {"functionResponse": {"id": call_.id, **answer} if with_id else answer}
    raise TypeError(part)


def gemini_response(job: Job, parts: tuple[Text | Picture, ...]) -> Json:
    """ "output" holds what a function gave; an object without that is as a whole what it gave."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    return {"output" if says(job, 3) else "answer": texts[0]}


def _function(tool: Tool, schema: str) -> Json:
    described = (
        {"name": tool.name} if tool.description is None else {"name": tool.name, "description": tool.description}
    )
    return {**described, schema: tool.schema}


def _arguments(job: Job, call: Call) -> str:
    return json.dumps(call.arguments, ensure_ascii=says(job, 5))


def _data_url(picture: Picture) -> str:
    return f"data:{picture.media_type};base64,{picture.data}"


def _sampling(job: Job, temperature: str, top_p: str, top_k: str) -> Json:
    said = job.parameters
    given: Mapping[str, float | None] = {temperature: said.temperature, top_p: said.top_p, top_k: said.top_k}
    return {name: value for name, value in given.items() if value is not None}
