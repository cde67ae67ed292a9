"""What a stranger says of his tools, and what Claude may see of it."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.cli_facts.pictures import base64, png
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.offered import chosen, model_name, read_result, read_tools
from tests.mcp_programs.stranger import ABSURD, TOOL
from workers.job import Image, Text, Tool

API_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
BOUNDS = Bounds()


def texts(answer: dict[str, Any], bounds: Bounds = BOUNDS) -> list[str]:
    return [one.text if isinstance(one, Text) else "image" for one in read_result(answer, bounds).content]


@given(st.lists(st.text(min_size=1, max_size=200), unique=True, max_size=6))
def test_every_name_is_one_that_the_api_takes_and_no_two_are_one(names: list[str]) -> None:
    made = [model_name("s" * 64, name) for name in names]

    assert all(API_NAME.fullmatch(one) for one in made)
    assert len(set(made)) == len(names)


def test_a_plain_name_stays_plain() -> None:
    assert model_name("files", "read-file_2") == "mcp__files__read-file_2"


def test_of_absurd_tools_those_remain_that_the_upstream_takes() -> None:
    offered, left_out = read_tools("s", ABSURD, BOUNDS)

    assert [one.own_name for one in offered] == ["look", "../../etc/passwd", "l" * 120, "talks"]
    assert left_out == 5
    assert offered[0].tool.description == "Looks."
    assert len(offered[3].tool.description) <= 64 * 1024


def test_no_more_tools_and_no_more_words_than_the_bounds_allow() -> None:
    many = [{**TOOL, "name": f"t{n}"} for n in range(1_000)]

    assert [len(part) if isinstance(part, tuple) else part for part in read_tools("s", many, BOUNDS)] == [128, 872]
    assert len(read_tools("s", many, replace(BOUNDS, listing_bytes=400))[0]) == 10


def test_what_is_no_object_of_the_protocol_is_left_out() -> None:
    assert read_tools("s", [{}, {"name": 3, "inputSchema": {}}, {"name": "a", "inputSchema": []}], BOUNDS) == ((), 3)


def test_tools_are_chosen_by_their_names_or_their_servers() -> None:
    tools = tuple(Tool(name, "", {}) for name in ("mcp__a__x", "mcp__a__y", "mcp__ab__x"))

    assert chosen(tools, ["mcp__a__y", "Read"]) == tools[1:2]
    assert chosen(tools, ["mcp__a"]) == chosen(tools, ["mcp__a__*"]) == tools[:2]
    assert chosen(tools, ["mcp__"]) == chosen(tools, []) == ()


def test_an_answer_is_texts_and_pictures() -> None:
    answer = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": base64(png()), "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "a://b", "text": "two"}},
            {"type": "audio", "data": "", "mimeType": "audio/wav"},
        ]
    }
    result = read_result(answer, BOUNDS)

    assert [type(one) for one in result.content] == [Text, Image, Text, Text]
    assert texts(answer)[::2] == ["one", "two"]
    assert not result.is_error


def test_what_the_upstream_would_refuse_is_put_into_words() -> None:
    assert texts({"content": []}) == texts({"content": [{"type": "text", "text": " "}]}) != []
    assert texts({"content": [{"type": "image", "data": "!", "mimeType": "image/png"}]})[0].startswith("(An image")
    assert texts({"content": [{"type": "text", "text": "a\ud800b"}]}) == ["a\N{REPLACEMENT CHARACTER}b"]
    assert texts({"structuredContent": {"a": 1}}) == ['{"a":1}']


def test_an_answer_too_large_is_an_error_that_says_so() -> None:
    result = read_result({"content": [{"type": "text", "text": "x" * 2_000}]}, replace(BOUNDS, result_bytes=1_000))

    assert result.is_error
    assert "2000 bytes" in str(result.content)
