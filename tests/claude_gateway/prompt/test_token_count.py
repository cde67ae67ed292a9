"""The estimate of a prompt's tokens, held against the stand-in's count, a real tokenizer's and documented examples."""

import struct
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given

from claude_gateway.demo.tokens import count
from claude_gateway.prompt.token_count import estimate
from tests.claude_gateway.dialects.anthropic import Anthropic
from tests.claude_gateway.dialects.face import MODEL
from tests.claude_gateway.dialects.jobs import jobs
from workers.job import ChatJob, Image, Text, Turn

PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom. "
CODE = "def total(items: list[int]) -> int:\n    return sum(item for item in items if item > 0)\n\n"
JSON = '{"name":"get_weather","arguments":{"city":"Oslo","days":[1,2,3],"units":"metric"}},'
ARABIC = "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق، وقد وهبوا عقلاً وضميراً. "
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
PICTURE_HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 900, 500),
    "gif": b"GIF89a" + struct.pack("<HH", 900, 500),
    "webp, simple": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 900, 500),
    "webp, lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (899 | 499 << 14).to_bytes(4, "little"),
    "webp, extended": b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + b"\x83\x03\0" + b"\xf3\x01\0",
    "jpeg": b"\xff\xd8\xff\xe0\0\x04JF\xff\xc0\0\x11\x08" + struct.pack(">HH", 500, 900),
}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def png(width: int, height: int) -> dict[str, Any]:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(5_000)
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(head)}}


def pdf(pages: int) -> dict[str, Any]:
    raw = b"%PDF-1.4\n/Type /Pages\n" + b"/Type /Page\n" * pages + bytes(200_000)
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(raw)}}


def encoded(raw: bytes) -> str:
    return b64encode(raw).decode()


def tools(number: int) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": PROSE}}, "required": ["city"]}
    return [{"name": f"tool_{n}", "description": PROSE * 3, "input_schema": schema} for n in range(number)]


def history(turns: int) -> list[dict[str, Any]]:
    said = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}: {PROSE}"} for n in range(turns * 2)]
    return [*said, user(text("and now?"))]


def calls() -> list[dict[str, Any]]:
    thought = {"type": "thinking", "thinking": PROSE * 5, "signature": "x" * 3_000}
    old = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "/x", "lines": [1, 2, 3]}}
    new = {**old, "id": "t2"}
    return [
        user(text("go")),
        {"role": "assistant", "content": [thought, old]},
        user({"type": "tool_result", "tool_use_id": "t1", "content": CODE * 20}, text("on")),
        {"role": "assistant", "content": [thought, text("I see."), new]},
        user({"type": "tool_result", "tool_use_id": "t2", "content": [text(CODE * 10), png(1_000, 1_000)]}),
    ]


BODIES: dict[str, dict[str, Any]] = {
    "a word": {"messages": [user(text("hi"))]},
    "prose": {"system": PROSE * 5, "messages": [user(text(PROSE * 40))]},
    "code": {"messages": [user(text(CODE * 100))]},
    "json": {"messages": [user(text(JSON * 100))]},
    "arabic": {"system": ARABIC, "messages": [user(text(ARABIC * 30))]},
    "chinese": {"messages": [user(text(CHINESE * 30))]},
    "a mixture": {"messages": [user(text(PROSE + ARABIC), text(CODE + CHINESE + JSON))]},
    "tools": {"tools": tools(12), "messages": [user(text("hi"))]},
    "one tool": {"tools": tools(1), "messages": [user(text("hi"))]},
    "no tools": {"tools": [], "messages": [user(text("foo"))]},
    "a small image": {"messages": [user(png(200, 200), text("what is this?"))]},
    "a large image": {"messages": [user(png(4_000, 3_000), text("what is this?"))]},
    "many images": {"messages": [user(*(png(100 * n, 400) for n in range(1, 20)))]},
    "a paper": {"messages": [user(pdf(3), text("summarise"))]},
    "a text document": {
        "messages": [
            user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PROSE * 9}})
        ]
    },
    "a long history": {"messages": history(100)},
    "calls with results and thoughts": {"tools": tools(3), "messages": calls()},
    "system in blocks with marks": {
        "system": [{**text(PROSE * 9), "cache_control": {"type": "ephemeral", "ttl": "1h"}}, text(CODE)],
        "messages": [user({**text("hi"), "cache_control": {"type": "ephemeral"}})],
    },
}


def estimated(body: dict[str, Any]) -> int:
    return estimate(Anthropic().parse({"model": MODEL, **body}).job)


@pytest.mark.promise("messages.count-tokens")
@pytest.mark.parametrize("case", BODIES)
def test_the_estimate_is_within_a_tenth_of_the_upstream_s_own_count(case: str) -> None:
    upstream = count({"model": MODEL, **BODIES[case]})

    assert abs(estimated(BODIES[case]) - upstream) <= max(1, upstream / 10)


@given(jobs())
def test_it_stays_within_a_tenth_whatever_the_conversation(job: ChatJob) -> None:
    upstream = count(Anthropic().render(job))

    assert abs(estimate(job) - upstream) <= max(2, upstream / 10)


@pytest.mark.parametrize("case", ["prose", "a paper", "a large image", "a long history", "tools"])
def test_what_the_model_does_not_see_is_not_counted(case: str) -> None:
    body = BODIES[case]
    noise = {"metadata": {"user_id": "x" * 9_000}, "stop_sequences": ["y" * 9_000], "model": MODEL}

    assert estimated({**body, **noise}) == estimated(body)


# What the last tokenizer that Anthropic published makes of ten of each text.
@pytest.mark.parametrize(
    ("words", "tokens"),
    [(PROSE, 211), (CODE, 279), (JSON, 260), (ARABIC, 720), (CHINESE, 490)],
    ids=["en", "py", "js", "ar", "zh"],
)
def test_the_scale_is_not_far_from_a_real_tokenizer_s(words: str, tokens: int) -> None:
    alone = estimated({"messages": [user(text(words * 10))]}) - estimated({"messages": [user(text("x"))]})

    assert alone == pytest.approx(tokens, rel=0.3)


def test_the_documented_examples_come_out() -> None:
    greeting = {"system": "You are a scientist", "messages": [user(text("Hello, Claude"))]}
    weather = {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
            "required": ["location"],
        },
    }
    question = {"tools": [weather], "messages": [user(text("What's the weather like in San Francisco?"))]}

    assert estimated(greeting) == pytest.approx(14, abs=2)
    assert estimated(question) == pytest.approx(403, rel=0.1)


@pytest.mark.parametrize("kind", PICTURE_HEADS)
def test_an_image_counts_by_its_pixels_whatever_its_format(kind: str) -> None:
    alone = Turn("user", (Image({"type": "base64", "data": encoded(PICTURE_HEADS[kind] + bytes(9))}),))
    nothing = Turn("user", (Text("x"),))

    more = estimate(ChatJob("o", MODEL, (alone,))) - estimate(ChatJob("o", MODEL, (nothing,)))

    assert more == pytest.approx(900 * 500 / 750, abs=2)


@pytest.mark.parametrize("data", ["", "!", "aGVsbG8", "iVBORw0KGgo=", encoded(b"\xff\xd8\xff\xe0")])
def test_an_image_whose_size_is_not_seen_counts_as_the_largest(data: str) -> None:
    job = ChatJob("o", MODEL, (Turn("user", (Image({"type": "base64", "data": data}),)),))

    assert estimate(job) == pytest.approx(1_600, abs=10)
