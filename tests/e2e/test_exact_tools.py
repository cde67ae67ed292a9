"""The client's tools reach the model word for word, in every dialect, in a fresh process and in a used one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Gateway, gateway_on
from tests.e2e.four_dialects import DIALECTS, Tools, ask

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

IN_EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def tool(name: str, words: str = "", properties: dict[str, Any] | None = None, **schema: Any) -> dict[str, Any]:
    described = {"description": words} if words else {}
    return {"name": name, **described, "input_schema": {"type": "object", "properties": properties or {}, **schema}}


# Letters that NFKC changes, format characters, a letter in two code points, an emoji of several.
ODD_LETTERS = (
    "\uff21\uff22 \u2460 \u338f \uff76\uff85 \u0645\u06cc\u200c\u062e e\u0301 \u212b \U0001f468\u200d\U0001f469"
)
EXACT: dict[str, Tools] = {
    "long": [tool("f", "First paragraph.\n\nRules:\r\n\r\n- never\n \n" + "word " * 4_000 + "NEVER delete files.")],
    "letters": [
        tool("f", ODD_LETTERS, {"size": {"type": "string", "enum": ODD_LETTERS.split(), "title": ODD_LETTERS}})
    ],
    "order": [tool("zeta"), tool("alpha"), tool("Bash", "of the client"), tool("Read")],
    "nested": [
        tool(
            "f",
            "x",
            {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": {"$ref": "#/$defs/B"}},
            **{"$defs": {"B": {"type": "object", "properties": {"odd [name]": {}}}}, "additionalProperties": False},
        )
    ],
}


@pytest.mark.promise("tools.exact")
@IN_EVERY_DIALECT
@pytest.mark.parametrize("kind", EXACT)
async def test_tools_reach_the_model_to_the_letter(gateway: Gateway, dialect: str, kind: str) -> None:
    for number in range(2):
        await ask(gateway.url, dialect, f"hello {number}", stream=False, tools=EXACT[kind])
        assert gateway.upstream.chats[-1].body["tools"] == EXACT[kind]


@IN_EVERY_DIALECT
async def test_the_same_name_is_described_in_the_words_of_each_job(gateway: Gateway, dialect: str) -> None:
    for words in ("Search the web.", "Search the patients of a clinic.", "", "Search mails."):
        await ask(gateway.url, dialect, f"hello {words}", stream=False, tools=[tool("search", words)])
        assert gateway.upstream.chats[-1].body["tools"] == [tool("search", words)]
    await ask(gateway.url, dialect, "without", stream=False)
    assert not gateway.upstream.chats[-1].body.get("tools")


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_a_property_that_the_api_refuses_comes_back_under_its_own_name(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    properties = {key: {"type": "string"} for key in ("filter[id]", "$select", "Account Number", "x" * 65, "ok")}
    offered = [tool("f", "x", properties, required=["filter[id]"])]
    call = '{{tool f {"filter_id": "1", "select": "2", "Account_Number": "3", "ok": "4"}}}'
    answer = await ask(gateway.url, dialect, f"go {call}", stream=stream, tools=offered)
    [sent] = gateway.upstream.chats[-1].body["tools"]
    assert list(sent["input_schema"]["properties"])[:3] == ["filter_id", "select", "Account_Number"]
    assert sent["input_schema"]["required"] == ["filter_id"]
    [(name, arguments)] = answer.calls
    assert name == "f"
    assert json.loads(arguments) == {"filter[id]": "1", "$select": "2", "Account Number": "3", "ok": "4"}


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_a_tool_whose_name_the_api_refuses_can_be_read_and_comes_back_under_its_own(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    offered = [tool("github.create_issue"), tool("fs:read")]
    prompt = "go {{tool github_create_issue {}}}"
    answer = await ask(gateway.url, dialect, prompt, stream=stream, tools=offered)
    assert [one["name"] for one in gateway.upstream.chats[-1].body["tools"]] == ["github_create_issue", "fs_read"]
    assert answer.calls == [("github.create_issue", "{}")]


@IN_EVERY_DIALECT
async def test_a_union_at_the_root_keeps_the_description_and_every_property(gateway: Gateway, dialect: str) -> None:
    words = "Turns a device on. Never use it for locks."
    union = [
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        {"type": "object", "properties": {"area": {"type": "string"}}, "required": ["area"]},
    ]
    for keyword in ("anyOf", "oneOf", "allOf"):
        offered = [{"name": "f", "description": words, "input_schema": {keyword: union}}]
        answer = await ask(gateway.url, dialect, f"hello {keyword}", stream=False, tools=offered)
        assert answer.status == 200
        [sent] = gateway.upstream.chats[-1].body["tools"]
        assert sent["description"].startswith(f"{words}\n\n")
        assert list(sent["input_schema"]["properties"]) == ["name", "area"]
        assert keyword not in sent["input_schema"]


async def test_five_hundred_tools_are_taken(gateway: Gateway) -> None:
    many = [tool(f"tool_{number}", f"about {number} " + "d" * 1_000) for number in range(512)]
    await ask(gateway.url, "messages", "hello", stream=False, tools=many)
    assert gateway.upstream.chats[-1].body["tools"] == many


async def test_a_conversation_with_renamed_calls_stays_in_its_process(gateway: Gateway, tmp_path: Path) -> None:
    offered = [tool("fs/read", "x", {"the file": {"type": "string"}})]
    async with gateway_on(gateway.upstream, tmp_path, chat_workers=1) as alone:
        first: list[Any] = [{"role": "user", "content": '{{tool fs_read {"the_file": "a"}}}'}]
        answer = await alone.ask(
            *first, tools=[{"type": "function", "function": {**offered[0], "parameters": offered[0]["input_schema"]}}]
        )
        message = answer.choices[0].message
        assert json.loads(message.tool_calls[0].function.arguments) == {"the file": "a"}
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "text"}
        await alone.ask(
            *first,
            message.model_dump(exclude_none=True),
            result,
            tools=[{"type": "function", "function": {**offered[0], "parameters": offered[0]["input_schema"]}}],
        )
        _, call, _ = alone.upstream.chats[-1].body["messages"]
        assert call["content"][-1]["input"] == {"the_file": "a"}
        assert call["content"][-1]["name"] == "fs_read"
        assert len(alone.upstream.chats) == 2
