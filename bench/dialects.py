"""What the dialects cost beside each other: the same question in each, and a stored chain against a conversation."""

import statistics
import time
from typing import Any

import aiohttp
import orjson

from bench.parts import API_KEY, MODEL, GatewayProcess

Figures = dict[str, Any]
Json = dict[str, Any]

_QUESTION = "one two three four five six seven eight nine ten"
_FIRST_WORD = b"one "
# Messages must name a limit; one that differs from job to job would be what is measured.
_LIMIT = 4_000
_TURNS = 50
_LAST_TURNS = 20


def _requests(question: str) -> dict[str, tuple[str, Json]]:
    """Path and body of a streamed question in each dialect."""
    asked = [{"role": "user", "content": question}]
    return {
        "chat": ("/v1/chat/completions", {"model": MODEL, "messages": asked, "stream": True, "max_tokens": _LIMIT}),
        "messages": ("/v1/messages", {"model": MODEL, "messages": asked, "stream": True, "max_tokens": _LIMIT}),
        "responses": (
            "/v1/responses",
            {"model": MODEL, "input": asked, "stream": True, "store": False, "max_output_tokens": _LIMIT},
        ),
        "gemini": (
            f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
            {
                "contents": [{"role": "user", "parts": [{"text": question}]}],
                "generationConfig": {"maxOutputTokens": _LIMIT},
            },
        ),
    }


async def dialects(gateway: GatewayProcess, rounds: int) -> Figures:
    """Milliseconds to the first word in each dialect, in turns; how much more than chat the slowest takes."""
    requests = _requests(_QUESTION)
    took: dict[str, list[float]] = {name: [] for name in requests}
    async with _session(gateway) as session:
        for number in range(rounds + 5):
            for name, (path, body) in requests.items():
                seconds, _ = await _ask(session, path, body)
                if number >= 5:  # the first rounds warm all of them up
                    took[name].append(seconds)
    medians = {name: statistics.median(times) for name, times in took.items()}
    figures = {f"{name}_ms": _ms(median) for name, median in medians.items()}
    return {**figures, "most_over_chat_ms": _ms(max(medians.values()) - medians["chat"])}


async def chain(gateway: GatewayProcess) -> Figures:
    """Milliseconds to the first word of the last turns of a long chain of stored responses, and of the same
    conversation as chats that send all of it."""
    stored: list[float] = []
    whole: list[float] = []
    previous, messages = None, []
    async with _session(gateway) as session:
        for number in range(_TURNS):
            question = f"{_QUESTION} {number}"
            body = {"model": MODEL, "input": question, "stream": True, "previous_response_id": previous}
            seconds, told = await _ask(session, "/v1/responses", body)
            previous = next(event["response"]["id"] for event in told if event["type"] == "response.completed")
            stored.append(seconds)
            messages.append({"role": "user", "content": f"{question} in a chat"})
            chat = {"model": MODEL, "messages": messages, "stream": True}
            seconds, told = await _ask(session, "/v1/chat/completions", chat)
            answer = "".join(choice["delta"].get("content") or "" for chunk in told for choice in chunk["choices"])
            messages.append({"role": "assistant", "content": answer})
            whole.append(seconds)
    ends = [statistics.median(times[-_LAST_TURNS:]) for times in (stored, whole)]
    return {"turns": _TURNS, "stored_ms": _ms(ends[0]), "chat_ms": _ms(ends[1]), "added_ms": _ms(ends[0] - ends[1])}


def _session(gateway: GatewayProcess) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {API_KEY}"})


async def _ask(session: aiohttp.ClientSession, path: str, body: Json) -> tuple[float, list[Json]]:
    """Seconds to the first word, and the data of every event."""
    sent = time.monotonic()
    first = None
    read = b""
    async with session.post(path, json=body) as response:
        async for piece in response.content.iter_any():
            read += piece
            if first is None and _FIRST_WORD in read:
                first = time.monotonic() - sent
        if response.status != 200 or first is None:
            raise RuntimeError(f"{path} answered {response.status}: {read[:200]!r}")
    lines = [line[6:] for line in read.split(b"\n") if line.startswith(b"data: {")]
    return first, [orjson.loads(line) for line in lines]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
