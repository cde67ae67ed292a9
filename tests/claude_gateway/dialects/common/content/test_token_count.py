"""Token estimates, compared with the fake Anthropic API, a real tokenizer and documented examples."""

import struct
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given

from claude_gateway.devtools.fake_anthropic.token_count import count_input_tokens
from claude_gateway.dialects.common.content.token_count import estimate_prompt_tokens
from tests.claude_gateway.dialects.adapters.anthropic import Anthropic
from tests.claude_gateway.dialects.adapters.dialect_adapter import MODEL
from tests.claude_gateway.dialects.strategies.jobs import jobs
from workers.core.job import ChatJob, Image, Text, Turn

PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom. "
CODE = "def total(items: list[int]) -> int:\n    return sum(item for item in items if item > 0)\n\n"
JSON = '{"name":"get_weather","arguments":{"city":"Oslo","days":[1,2,3],"units":"metric"}},'
ARABIC = "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق، وقد وهبوا عقلاً وضميراً. "
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
IMAGE_HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 900, 500),
    "gif": b"GIF89a" + struct.pack("<HH", 900, 500),
    "webp, simple": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 900, 500),
    "webp, lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (899 | 499 << 14).to_bytes(4, "little"),
    "webp, extended": b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + b"\x83\x03\0" + b"\xf3\x01\0",
    "jpeg": b"\xff\xd8\xff\xe0\0\x04JF\xff\xc0\0\x11\x08" + struct.pack(">HH", 500, 900),
}


def user_message(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text_block(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def png_block(width: int, height: int) -> dict[str, Any]:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(5_000)
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encode_base64_text(head)}}


def pdf_block(pages: int) -> dict[str, Any]:
    raw = b"%PDF-1.4\n/Type /Pages\n" + b"/Type /Page\n" * pages + bytes(200_000)
    return {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": encode_base64_text(raw)},
    }


def encode_base64_text(raw: bytes) -> str:
    return b64encode(raw).decode()


def create_tools(number: int) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": PROSE}}, "required": ["city"]}
    return [{"name": f"tool_{n}", "description": PROSE * 3, "input_schema": schema} for n in range(number)]


def create_history(turns: int) -> list[dict[str, Any]]:
    messages = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}: {PROSE}"} for n in range(turns * 2)]
    return [*messages, user_message(text_block("and now?"))]


def create_calls() -> list[dict[str, Any]]:
    thinking_block = {"type": "thinking", "thinking": PROSE * 5, "signature": "x" * 3_000}
    old = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "/x", "lines": [1, 2, 3]}}
    new = {**old, "id": "t2"}
    return [
        user_message(text_block("go")),
        {"role": "assistant", "content": [thinking_block, old]},
        user_message({"type": "tool_result", "tool_use_id": "t1", "content": CODE * 20}, text_block("on")),
        {"role": "assistant", "content": [thinking_block, text_block("I see."), new]},
        user_message(
            {"type": "tool_result", "tool_use_id": "t2", "content": [text_block(CODE * 10), png_block(1_000, 1_000)]}
        ),
    ]


BODIES: dict[str, dict[str, Any]] = {
    "a word": {"messages": [user_message(text_block("hi"))]},
    "prose": {"system": PROSE * 5, "messages": [user_message(text_block(PROSE * 40))]},
    "code": {"messages": [user_message(text_block(CODE * 100))]},
    "json": {"messages": [user_message(text_block(JSON * 100))]},
    "arabic": {"system": ARABIC, "messages": [user_message(text_block(ARABIC * 30))]},
    "chinese": {"messages": [user_message(text_block(CHINESE * 30))]},
    "a mixture": {"messages": [user_message(text_block(PROSE + ARABIC), text_block(CODE + CHINESE + JSON))]},
    "tools": {"tools": create_tools(12), "messages": [user_message(text_block("hi"))]},
    "one tool": {"tools": create_tools(1), "messages": [user_message(text_block("hi"))]},
    "no tools": {"tools": [], "messages": [user_message(text_block("foo"))]},
    "a small image": {"messages": [user_message(png_block(200, 200), text_block("what is this?"))]},
    "a large image": {"messages": [user_message(png_block(4_000, 3_000), text_block("what is this?"))]},
    "many images": {"messages": [user_message(*(png_block(100 * n, 400) for n in range(1, 20)))]},
    "a paper": {"messages": [user_message(pdf_block(3), text_block("summarise"))]},
    "a text document": {
        "messages": [
            user_message(
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PROSE * 9}}
            )
        ]
    },
    "a long history": {"messages": create_history(100)},
    "calls with results and thinking": {"tools": create_tools(3), "messages": create_calls()},
    "system blocks with cache control": {
        "system": [{**text_block(PROSE * 9), "cache_control": {"type": "ephemeral", "ttl": "1h"}}, text_block(CODE)],
        "messages": [user_message({**text_block("hi"), "cache_control": {"type": "ephemeral"}})],
    },
}


def estimate_tokens(body: dict[str, Any]) -> int:
    return estimate_prompt_tokens(Anthropic().parse({"model": MODEL, **body}).job)


@pytest.mark.promise("messages.count-tokens")
@pytest.mark.parametrize("case", BODIES)
def test_estimate_is_within_ten_percent_of_upstream_count(case: str) -> None:
    upstream = count_input_tokens({"model": MODEL, **BODIES[case]})

    assert abs(estimate_tokens(BODIES[case]) - upstream) <= max(1, upstream / 10)


@given(jobs())
def test_estimate_is_within_ten_percent_for_generated_conversations(job: ChatJob) -> None:
    upstream = count_input_tokens(Anthropic().build_request(job))

    assert abs(estimate_prompt_tokens(job) - upstream) <= max(2, upstream / 10)


@pytest.mark.parametrize("case", ["prose", "a paper", "a large image", "a long history", "tools"])
def test_does_not_count_content_that_the_model_does_not_see(case: str) -> None:
    body = BODIES[case]
    noise = {"metadata": {"user_id": "x" * 9_000}, "stop_sequences": ["y" * 9_000], "model": MODEL}

    assert estimate_tokens({**body, **noise}) == estimate_tokens(body)


# Token counts of ten repetitions of each text by the last tokenizer that Anthropic published.
@pytest.mark.parametrize(
    ("content", "tokens"),
    [(PROSE, 211), (CODE, 279), (JSON, 260), (ARABIC, 720), (CHINESE, 490)],
    ids=["en", "py", "js", "ar", "zh"],
)
def test_estimate_is_close_to_a_real_tokenizer(content: str, tokens: int) -> None:
    text_tokens = estimate_tokens({"messages": [user_message(text_block(content * 10))]}) - estimate_tokens(
        {"messages": [user_message(text_block("x"))]}
    )

    assert text_tokens == pytest.approx(tokens, rel=0.3)


def test_estimate_matches_documented_examples() -> None:
    greeting = {"system": "You are a scientist", "messages": [user_message(text_block("Hello, Claude"))]}
    weather = {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
            "required": ["location"],
        },
    }
    question = {"tools": [weather], "messages": [user_message(text_block("What's the weather like in San Francisco?"))]}

    assert estimate_tokens(greeting) == pytest.approx(14, abs=2)
    assert estimate_tokens(question) == pytest.approx(403, rel=0.1)


@pytest.mark.parametrize("kind", IMAGE_HEADS)
def test_counts_image_by_its_pixels_in_every_format(kind: str) -> None:
    image_turn = Turn("user", (Image({"type": "base64", "data": encode_base64_text(IMAGE_HEADS[kind] + bytes(9))}),))
    text_turn = Turn("user", (Text("x"),))

    image_tokens = estimate_prompt_tokens(ChatJob("key_1", MODEL, (image_turn,))) - estimate_prompt_tokens(
        ChatJob("key_1", MODEL, (text_turn,))
    )

    assert image_tokens == pytest.approx(900 * 500 / 750, abs=2)


@pytest.mark.parametrize("data", ["", "!", "aGVsbG8", "iVBORw0KGgo=", encode_base64_text(b"\xff\xd8\xff\xe0")])
def test_counts_image_of_unknown_size_as_the_largest(data: str) -> None:
    job = ChatJob("key_1", MODEL, (Turn("user", (Image({"type": "base64", "data": data}),)),))

    assert estimate_prompt_tokens(job) == pytest.approx(1_600, abs=10)
