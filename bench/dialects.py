"""Benchmark of the dialects: the same prompt in each, and a chain of stored responses compared with a chat."""

import statistics
import time
from typing import Any

import aiohttp
import orjson

from bench.figures import BenchResult, to_ms
from bench.parts import API_KEY, MODEL, GatewayProcess

Json = dict[str, Any]

_PROMPT = "one two three four five six seven eight nine ten"
_FIRST_WORD = b"one "
# The Messages API requires a limit. It is the same in each dialect, because a change of the limit costs time.
_MAX_OUTPUT_TOKENS = 4_000
_CHAIN_TURN_COUNT = 50
_MEASURED_TURN_COUNT = 20


def _build_requests(prompt: str) -> dict[str, tuple[str, Json]]:
    """Return the path and body of a streamed request in each dialect."""
    messages = [{"role": "user", "content": prompt}]
    return {
        "chat": (
            "/v1/chat/completions",
            {"model": MODEL, "messages": messages, "stream": True, "max_tokens": _MAX_OUTPUT_TOKENS},
        ),
        "messages": (
            "/v1/messages",
            {"model": MODEL, "messages": messages, "stream": True, "max_tokens": _MAX_OUTPUT_TOKENS},
        ),
        "responses": (
            "/v1/responses",
            {
                "model": MODEL,
                "input": messages,
                "stream": True,
                "store": False,
                "max_output_tokens": _MAX_OUTPUT_TOKENS,
            },
        ),
        "gemini": (
            f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
            {
                "contents": [{"role": "user", "parts": [{"text": prompt}]}],
                "generationConfig": {"maxOutputTokens": _MAX_OUTPUT_TOKENS},
            },
        ),
    }


async def measure_dialects(gateway: GatewayProcess, rounds: int) -> BenchResult:
    """Measure the milliseconds to the first word in each dialect, and the difference of the slowest from chat.

    Each round sends one request in each dialect.
    """
    requests = _build_requests(_PROMPT)
    durations: dict[str, list[float]] = {name: [] for name in requests}
    async with _create_session(gateway) as session:
        for number in range(rounds + 5):
            for name, (path, body) in requests.items():
                seconds, _ = await _send_request(session, path, body)
                if number >= 5:  # the first rounds warm up all dialects
                    durations[name].append(seconds)
    medians = {name: statistics.median(times) for name, times in durations.items()}
    figures = {f"{name}_ms": to_ms(median) for name, median in medians.items()}
    return {**figures, "max_over_chat_ms": to_ms(max(medians.values()) - medians["chat"])}


async def measure_response_chain(gateway: GatewayProcess) -> BenchResult:
    """Measure the first token of the last turns of a long chain of stored responses, in milliseconds.

    The same conversation as chats with the whole history is the baseline.
    """
    stored_seconds: list[float] = []
    chat_seconds: list[float] = []
    previous_id, messages = None, []
    async with _create_session(gateway) as session:
        for number in range(_CHAIN_TURN_COUNT):
            prompt = f"{_PROMPT} {number}"
            body = {"model": MODEL, "input": prompt, "stream": True, "previous_response_id": previous_id}
            seconds, events = await _send_request(session, "/v1/responses", body)
            previous_id = next(event["response"]["id"] for event in events if event["type"] == "response.completed")
            stored_seconds.append(seconds)
            messages.append({"role": "user", "content": f"{prompt} in a chat"})
            chat = {"model": MODEL, "messages": messages, "stream": True}
            seconds, chunks = await _send_request(session, "/v1/chat/completions", chat)
            reply = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
            messages.append({"role": "assistant", "content": reply})
            chat_seconds.append(seconds)
    stored_median = statistics.median(stored_seconds[-_MEASURED_TURN_COUNT:])
    chat_median = statistics.median(chat_seconds[-_MEASURED_TURN_COUNT:])
    return {
        "turns": _CHAIN_TURN_COUNT,
        "stored_ms": to_ms(stored_median),
        "chat_ms": to_ms(chat_median),
        "added_ms": to_ms(stored_median - chat_median),
    }


def _create_session(gateway: GatewayProcess) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {API_KEY}"})


async def _send_request(session: aiohttp.ClientSession, path: str, body: Json) -> tuple[float, list[Json]]:
    """Send a streamed request; return the seconds to the first word, and the data of every event."""
    sent_at = time.monotonic()
    first_word_seconds = None
    content = b""
    async with session.post(path, json=body) as response:
        async for chunk in response.content.iter_any():
            content += chunk
            if first_word_seconds is None and _FIRST_WORD in content:
                first_word_seconds = time.monotonic() - sent_at
        if response.status != 200 or first_word_seconds is None:
            raise RuntimeError(f"{path} responded with {response.status}: {content[:200]!r}")
    lines = [line[6:] for line in content.split(b"\n") if line.startswith(b"data: {")]
    return first_word_seconds, [orjson.loads(line) for line in lines]
