"""Client tools reach the model unchanged, in every dialect, in a fresh and in a reused process."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers.dialect_requests import DIALECTS, Tools, ask
from tests.e2e.helpers.gateway import Gateway, run_gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

IN_EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def tool(name: str, description: str = "", properties: dict[str, Any] | None = None, **schema: Any) -> dict[str, Any]:
    optional_fields = {"description": description} if description else {}
    return {
        "name": name,
        **optional_fields,
        "input_schema": {"type": "object", "properties": properties or {}, **schema},
    }


# Letters that NFKC changes, format characters, a letter of two code points, an emoji of several code points.
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
async def test_tools_reach_the_model_unchanged(gateway: Gateway, dialect: str, kind: str) -> None:
    for number in range(2):
        await ask(gateway.url, dialect, f"hello {number}", stream=False, tools=EXACT[kind])
        assert gateway.upstream.chat_requests[-1].body["tools"] == EXACT[kind]


@IN_EVERY_DIALECT
async def test_each_job_describes_a_tool_of_the_same_name_in_its_own_words(gateway: Gateway, dialect: str) -> None:
    for description in ("Search the web.", "Search the patients of a clinic.", "", "Search mails."):
        await ask(gateway.url, dialect, f"hello {description}", stream=False, tools=[tool("search", description)])
        assert gateway.upstream.chat_requests[-1].body["tools"] == [tool("search", description)]
    await ask(gateway.url, dialect, "without", stream=False)
    assert not gateway.upstream.chat_requests[-1].body.get("tools")


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_property_name_that_the_api_refuses_comes_back_unchanged(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    properties = {key: {"type": "string"} for key in ("filter[id]", "$select", "Account Number", "x" * 65, "ok")}
    tools = [tool("f", "x", properties, required=["filter[id]"])]
    call = '{{tool f {"filter_id": "1", "select": "2", "Account_Number": "3", "ok": "4"}}}'
    response = await ask(gateway.url, dialect, f"go {call}", stream=stream, tools=tools)
    [sent] = gateway.upstream.chat_requests[-1].body["tools"]
    assert list(sent["input_schema"]["properties"])[:3] == ["filter_id", "select", "Account_Number"]
    assert sent["input_schema"]["required"] == ["filter_id"]
    [(name, arguments)] = response.calls
    assert name == "f"
    assert json.loads(arguments) == {"filter[id]": "1", "$select": "2", "Account Number": "3", "ok": "4"}


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_tool_name_that_the_api_refuses_gets_a_readable_alias_and_comes_back_unchanged(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    tools = [tool("github.create_issue"), tool("fs:read")]
    prompt = "go {{tool github_create_issue {}}}"
    response = await ask(gateway.url, dialect, prompt, stream=stream, tools=tools)
    assert [received_tool["name"] for received_tool in gateway.upstream.chat_requests[-1].body["tools"]] == [
        "github_create_issue",
        "fs_read",
    ]
    assert response.calls == [("github.create_issue", "{}")]


@IN_EVERY_DIALECT
async def test_a_union_at_the_root_keeps_the_description_and_every_property(gateway: Gateway, dialect: str) -> None:
    description = "Turns a device on. Never use it for locks."
    union = [
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        {"type": "object", "properties": {"area": {"type": "string"}}, "required": ["area"]},
    ]
    for keyword in ("anyOf", "oneOf", "allOf"):
        tools = [{"name": "f", "description": description, "input_schema": {keyword: union}}]
        response = await ask(gateway.url, dialect, f"hello {keyword}", stream=False, tools=tools)
        assert response.status == 200
        [sent] = gateway.upstream.chat_requests[-1].body["tools"]
        assert sent["description"].startswith(f"{description}\n\n")
        assert list(sent["input_schema"]["properties"]) == ["name", "area"]
        assert keyword not in sent["input_schema"]


async def test_five_hundred_tools_are_accepted(gateway: Gateway) -> None:
    tools = [tool(f"tool_{number}", f"about {number} " + "d" * 1_000) for number in range(512)]
    await ask(gateway.url, "messages", "hello", stream=False, tools=tools)
    assert gateway.upstream.chat_requests[-1].body["tools"] == tools


async def test_a_conversation_with_renamed_calls_stays_in_its_process(gateway: Gateway, tmp_path: Path) -> None:
    tools = [tool("fs/read", "x", {"the file": {"type": "string"}})]
    async with run_gateway_on(gateway.upstream, tmp_path, chat_workers=1) as alone:
        first: list[Any] = [{"role": "user", "content": '{{tool fs_read {"the_file": "a"}}}'}]
        response = await alone.ask(
            *first, tools=[{"type": "function", "function": {**tools[0], "parameters": tools[0]["input_schema"]}}]
        )
        message = response.choices[0].message
        assert json.loads(message.tool_calls[0].function.arguments) == {"the file": "a"}
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "text"}
        await alone.ask(
            *first,
            message.model_dump(exclude_none=True),
            result,
            tools=[{"type": "function", "function": {**tools[0], "parameters": tools[0]["input_schema"]}}],
        )
        _, call, _ = alone.upstream.chat_requests[-1].body["messages"]
        assert call["content"][-1]["input"] == {"the_file": "a"}
        assert call["content"][-1]["name"] == "fs_read"
        assert len(alone.upstream.chat_requests) == 2
