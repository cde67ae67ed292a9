"""Whole jobs with Claude's own tools over HTTP: the model's part is scripted, the tools are real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest
import pytest_asyncio
from openai import APIStatusError

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on
from tests.e2e.workshop import bash, call, result_of
from tests.installed import SANDBOX, need

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The guide's default model is near its end of life, says today's client.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

TOOLS = {"enable_tools": True}
THEN = "{{then}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    need(SANDBOX)
    state = tmp_path_factory.mktemp("state")
    async with stand_in() as upstream, gateway_on(upstream, state) as running:
        yield running, state


@pytest.fixture
def gateway(shop: tuple[Gateway, Path]) -> Gateway:
    shop[0].upstream.forget()
    return shop[0]


@pytest.fixture
def state(shop: tuple[Gateway, Path]) -> Path:
    return shop[1]


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def official(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=30, http_client=direct
    ) as connected:
        yield connected


async def fetched(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        assert response.status == 200
        return await response.json()


def offered(gateway: Gateway) -> list[str]:
    return sorted(tool["name"] for tool in gateway.upstream.chats[-1].body.get("tools", []))


@pytest.mark.promise("tools.whole-job")
async def test_a_table_is_put_in_worked_on_and_the_drawing_fetched(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    async with http.put("/v1/sessions/table/files/in/data.csv", data=b"name,value\na,3\nb,5\n") as response:
        assert response.status == 201
    program = (
        "import csv\n"
        "values = [int(row['value']) for row in csv.DictReader(open('in/data.csv'))]\n"
        'bars = \'\'.join(\'<rect y="%d" height="8" width="%d"/>\' % (10 * n, v) for n, v in enumerate(values))\n'
        "open('chart.svg', 'w').write('<svg xmlns=\"http://www.w3.org/2000/svg\">%s</svg>' % bars)\n"
        "print(sum(values))\n"
    )
    words = (
        "{{say I look.}}"
        + call("Read", file_path="in/data.csv")
        + THEN
        + "{{say I write.}}"
        + call("Write", file_path="/desk/plot.py", content=program)
        + THEN
        + bash("python3 plot.py")
        + THEN
        + "{{say The sum is 8.}}"
    )
    answer = await gateway.ask(words, extra_body=TOOLS | {"session_id": "table"})
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("I look.\n\nI write.")
    assert answer.choices[0].message.content.endswith("The sum is 8.")
    assert answer.choices[0].message.tool_calls is None
    *_, results = gateway.upstream.chats[-1].body["messages"]
    assert results["content"][0]["content"].startswith("8")
    listed = await fetched(http, "/v1/sessions/table/files")
    assert [file["path"] for file in listed["files"]] == ["chart.svg", "in/data.csv", "plot.py"]
    async with http.get("/v1/sessions/table/files/chart.svg") as response:
        assert response.headers["Content-Disposition"] == "attachment"
        assert (await response.read()).startswith(b"<svg")


async def test_a_fault_is_mended_and_its_test_run(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await http.put("/v1/sessions/fix/files/add.py", data=b"def add(a, b):\n    return a - b\n")
    await http.put(
        "/v1/sessions/fix/files/test_add.py",
        data=b"import unittest\nfrom add import add\n\n\nclass T(unittest.TestCase):\n"
        b"    def test(self):\n        self.assertEqual(add(2, 3), 5)\n",
    )
    words = (
        bash("python3 -B -m unittest 2>&1 | tail -1")
        + THEN
        + call("Read", file_path="/desk/add.py")
        + THEN
        + call("Edit", file_path="/desk/add.py", old_string="a - b", new_string="a + b")
        + THEN
        + bash("python3 -B -m unittest 2>&1 | tail -1")
        + THEN
        + "{{say Mended.}}"
    )
    await gateway.ask(words, extra_body=TOOLS | {"session_id": "fix"})
    said = [
        block["content"]
        for message in gateway.upstream.chats[-1].body["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert said[0].startswith("FAILED")
    assert said[-1].startswith("OK")
    async with http.get("/v1/sessions/fix/files/add.py") as response:
        assert b"a + b" in await response.read()


async def test_without_tools_asked_for_there_are_none(gateway: Gateway) -> None:
    await gateway.ask("hello", extra_headers={"X-Claude-Allowed-Tools": "Read"})
    assert offered(gateway) == []


async def test_the_usual_tools_and_claude_codes_own_prompt_with_the_callers_behind_it(gateway: Gateway) -> None:
    await gateway.ask({"role": "system", "content": "Speak like a pirate."}, "hello", extra_body=TOOLS)
    assert offered(gateway) == ["Bash", "Edit", "Glob", "Grep", "Read", "Write"]
    system = "\n".join(block["text"] for block in gateway.upstream.chats[-1].body["system"])
    assert "Speak like a pirate." in system
    assert len(system) > 5_000


async def test_usage_is_that_of_all_turns_and_progress_is_told_as_thoughts(gateway: Gateway) -> None:
    words = bash("echo one") + "{{usage input=10 output=1}}" + THEN + "{{say done}}{{usage input=20 output=2}}"
    answer = await gateway.ask(words, extra_body=TOOLS | {"stream_tool_progress": True})
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (30, 3)
    assert answer.choices[0].message.reasoning_content == "Bash: echo one\n"
    silent = await gateway.ask(words, extra_body=TOOLS)
    assert not hasattr(silent.choices[0].message, "reasoning_content")


async def test_progress_is_told_in_every_dialect_to_who_asks_for_it_and_to_nobody_else(
    http: aiohttp.ClientSession,
) -> None:
    words, model = bash("echo x") + THEN + "{{say done}}", "claude-sonnet-4-5-20250929"
    gemini = {
        "contents": [{"role": "user", "parts": [{"text": words}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0}},
        "enableTools": True,
    }
    for path, body, ask in (
        ("/v1/responses", {"model": model, "input": words} | TOOLS, {"stream_tool_progress": True}),
        (f"/v1beta/models/{model}:generateContent", gemini, {"streamToolProgress": True}),
    ):
        async with http.post(path, json=body | ask) as response:
            assert "Bash: echo x" in await response.text(), path
        async with http.post(path, json=body) as response:
            assert "Bash: echo x" not in await response.text(), path
            assert response.status == 200


@pytest.mark.promise("tools.progress-blocks")
async def test_in_messages_each_call_is_told_in_blocks_of_the_provider_s_and_the_next_turn_goes_on(
    gateway: Gateway, official: anthropic.AsyncAnthropic
) -> None:
    words = "{{say I look.}}" + bash("echo x; exit 3") + call("Glob", pattern="*") + THEN + "{{say done}}"
    asks: Any = {"model": MODEL, "max_tokens": 900}
    more = {"extra_body": TOOLS | {"stream_tool_progress": True}}
    whole = await official.messages.create(**asks, messages=[{"role": "user", "content": words}], **more)
    more["extra_body"] |= {"session_id": "blocks"}
    history: Any = [{"role": "user", "content": words}]
    async with official.messages.stream(**asks, messages=history, **more) as stream:
        streamed = await stream.get_final_message()
    kinds = [
        *("text", "server_tool_use", "server_tool_use"),
        *("bash_code_execution_tool_result", "code_execution_tool_result", "text"),
    ]
    for message in (whole, streamed):
        assert sorted(block.type for block in message.content) == sorted(kinds)
        told = {block.type: block for block in message.content}
        assert told["bash_code_execution_tool_result"].content.return_code == 3
        assert "x" in told["bash_code_execution_tool_result"].content.stderr
        assert {"command": "echo x; exit 3"} in [block.input for block in message.content if hasattr(block, "input")]
    # The whole message comes back, as every program sends it, and is what the process already knows.
    history += [{"role": "assistant", "content": [block.to_dict() for block in streamed.content]}]
    again = await official.messages.create(**asks, messages=[*history, {"role": "user", "content": "more"}], **more)
    assert [block.type for block in again.content] == ["text"]
    sent = gateway.upstream.chats[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant"] * 2 + ["user"]
    assert sent[-1]["content"][-1]["text"] == "more"
    assert "tool_use" in [block["type"] for block in sent[1]["content"]]


async def test_in_messages_nothing_of_a_call_is_told_to_who_did_not_ask(official: anthropic.AsyncAnthropic) -> None:
    question: Any = [{"role": "user", "content": bash("echo x") + THEN + "{{say done}}"}]
    answer = await official.messages.create(model=MODEL, max_tokens=900, messages=question, extra_body=TOOLS)
    assert {block.type for block in answer.content} == {"text"}
    # Programs send such blocks back wherever the conversation goes on, here without a session.
    call_block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    question += [{"role": "assistant", "content": [call_block, {"type": "text", "text": "done"}]}]
    question += [{"role": "user", "content": "more"}]
    raw = await official.messages.with_raw_response.create(model=MODEL, max_tokens=900, messages=question)
    assert "calls carried out by the provider" in raw.headers["x-gateway-warnings"]


async def test_an_answer_that_must_be_json_is_what_claude_says_last(gateway: Gateway) -> None:
    words = "{{say I look.}}" + bash("echo 1") + THEN + '{{say {"a":1}}}'
    answer = await gateway.ask(words, extra_body=TOOLS, response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"a":1}'


async def test_a_stream_has_the_same_text(gateway: Gateway) -> None:
    words = "{{say one}}" + bash("echo x") + THEN + "{{say two}}"
    assert await gateway.stream_text(words, extra_body=TOOLS) == "one\n\ntwo"


@pytest.mark.promise("tools.max-turns")
async def test_after_its_turns_the_work_ends_and_says_so(gateway: Gateway, state: Path) -> None:
    words = THEN.join(bash(f"echo {n} >> count") for n in range(5)) + THEN + "{{say never}}"
    answer = await gateway.ask(
        words, extra_body=TOOLS | {"session_id": "turns"}, extra_headers={"X-Claude-Max-Turns": "2"}
    )
    assert answer.choices[0].finish_reason == "length"
    assert len(gateway.upstream.chats) == 2
    (count,) = state.glob("*places/*/count")
    assert count.read_text() == "0\n1\n"


@pytest.mark.promise("tools.precedence")
async def test_a_header_wins_over_the_session_and_the_session_over_the_key(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    async def tools_of(session: str, **headers: str) -> list[str]:
        await gateway.ask("hello", extra_body=TOOLS | {"session_id": session}, extra_headers=headers)
        return offered(gateway)

    await http.post("/v1/tools/config", json={"allowed_tools": ["Read", "Glob", "Grep"], "disallowed_tools": ["Grep"]})
    await http.post("/v1/tools/config", json={"session_id": "of-its-own", "allowed_tools": ["Read", "Task"]})
    try:
        assert await tools_of("any") == ["Glob", "Read"]
        assert await tools_of("of-its-own") == ["Agent", "Read"]
        assert await tools_of("of-its-own", **{"X-Claude-Allowed-Tools": "Write, Grep"}) == ["Write"]
        assert (await fetched(http, "/v1/tools/config?session_id=of-its-own"))["effective_tools"] == ["Read", "Task"]
    finally:
        await http.post("/v1/tools/config", json={})


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Claude-Allowed-Tools", "Read,Nonsense"),
        ("X-Claude-Disallowed-Tools", "Nonsense"),
        ("X-Claude-Permission-Mode", "yolo"),
        ("X-Claude-Max-Turns", "0"),
        ("X-Claude-Max-Turns", "many"),
        ("X-Claude-Max-Thinking-Tokens", "-1"),
    ],
)
async def test_a_header_that_cannot_be_is_a_400_that_names_it(gateway: Gateway, header: str, value: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        await gateway.ask("hello", extra_body=TOOLS, extra_headers={header: value})
    assert caught.value.status_code == 400
    assert header in caught.value.message
    assert gateway.upstream.received == []


async def test_a_plan_changes_nothing_and_what_was_refused_is_counted(
    gateway: Gateway, http: aiohttp.ClientSession, state: Path
) -> None:
    before = (await fetched(http, "/v1/tools/stats"))["total_denied"]
    await gateway.ask(
        call("Write", file_path="/desk/planned.txt", content="x"),
        extra_body=TOOLS | {"session_id": "plan"},
        extra_headers={"X-Claude-Permission-Mode": "plan"},
    )
    assert not list(state.glob("*places/*/planned.txt"))
    assert (await fetched(http, "/v1/tools/stats"))["total_denied"] == before + 1


async def test_thinking_tokens_of_the_header_reach_the_model_with_and_without_tools(gateway: Gateway) -> None:
    for extra in (TOOLS, {}):
        await gateway.ask("hello", extra_body=extra, extra_headers={"X-Claude-Max-Thinking-Tokens": "2000"})
        assert gateway.upstream.chats[-1].body["thinking"]["budget_tokens"] == 2000


async def test_a_session_goes_on_in_its_process_and_in_another_after_it_is_gone(gateway: Gateway) -> None:
    session = {"session_id": "goes-on"}
    await gateway.ask("first {{say one}}" + bash("echo kept > here"), extra_body=TOOLS | session)
    assert "kept" in await result_of(gateway, bash("cat here"), "goes-on")
    assert "tool_use" in str(gateway.upstream.chats[-1].body["messages"][1])
    # Other tools, another process: what was said is put back, what was made is there.
    told = await result_of(gateway, call("Read", file_path="/desk/here"), "goes-on")
    assert "kept" in told
    await gateway.ask(
        "now" + call("Grep", pattern="kept"),
        extra_body=TOOLS | session,
        extra_headers={"X-Claude-Allowed-Tools": "Grep"},
    )
    assert "here" in str(gateway.upstream.chats[-1].body["messages"][-1])
    assert "first" in str(gateway.upstream.chats[-1].body["messages"][0])


@pytest.mark.promise("tools.nothing-left")
async def test_what_a_session_made_goes_with_it(gateway: Gateway, http: aiohttp.ClientSession, state: Path) -> None:
    await result_of(gateway, bash("mkdir -p a/b; touch a/b/gone; chmod 0 a/b a"), "short")
    assert (await http.delete("/v1/sessions/short")).status == 200
    assert not list(state.glob("*places/*/a"))
    await result_of(gateway, bash("touch of-one-job"))
    while list(state.glob("*places/*/of-one-job")):
        await asyncio.to_thread(lambda: None)


@pytest.mark.promise("tools.files")
async def test_files_are_fetched_by_their_own_names_only(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await result_of(
        gateway,
        bash("echo own > own; ln own second; ln -s /etc/hosts link; ln -s /etc dir; mkfifo pipe; echo a > 'a b'"),
        "names",
    )
    listed = await fetched(http, "/v1/sessions/names/files")
    assert [file["path"] for file in listed["files"]] == ["a b"]
    for path in ("own", "second", "link", "dir/hosts", "pipe", "%2e%2e/x", "a%2f..%2f..%2fx", "", "/etc/hosts", "none"):
        async with http.get(f"/v1/sessions/names/files/{path}") as response:
            assert response.status in (400, 404), path
            assert b"localhost" not in await response.read()
    for path in ("link", "dir/hosts", "dir"):
        await http.put(f"/v1/sessions/names/files/{path}", data=b"mine")
    assert "localhost" in await result_of(gateway, bash("cat /etc/hosts"), "names")
    assert (await http.delete("/v1/sessions/names/files/a%20b")).status == 200
    assert (await http.get("/v1/sessions/names/files/a%20b")).status == 404
    assert (await http.get("/v1/sessions/nobodys/files")).status == 404


async def test_the_catalogue_says_what_there_is_and_why_not(http: aiohttp.ClientSession) -> None:
    listed = await fetched(http, "/v1/tools")
    assert listed["total"] == len(listed["tools"]) == 14
    available = {tool["name"] for tool in listed["tools"] if tool["available"]}
    assert {"Read", "Write", "Edit", "Glob", "Grep", "Bash", "Task", "NotebookEdit", "WebSearch"} == available
    assert all("unavailable_reason" in tool for tool in listed["tools"] if not tool["available"])


async def test_a_request_with_tools_of_its_own_gets_no_others(gateway: Gateway) -> None:
    own = [{"type": "function", "function": {"name": "mine", "parameters": {"type": "object", "properties": {}}}}]
    await gateway.ask("hello", extra_body=TOOLS, tools=own)
    assert offered(gateway) == ["mine"]


async def test_messages_has_them_when_it_asks_and_a_plain_one_has_none(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    body = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 900, "messages": [{"role": "user", "content": "hi"}]}
    assert (await http.post("/v1/messages", json=body)).status == 200
    assert offered(gateway) == []
    words = "{{say one}}" + bash("echo x") + THEN + "{{say two}}"
    body["messages"] = [{"role": "user", "content": words}]
    async with http.post("/v1/messages", json=body | TOOLS) as response:
        message = await response.json()
    assert [block["type"] for block in message["content"]] == ["text", "text"]
    assert message["stop_reason"] == "end_turn"


async def test_responses_and_gemini_have_them_too(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    words = "{{say one}}" + bash("echo x") + THEN + "{{say two}}"
    body = {"model": "claude-sonnet-4-5-20250929", "input": words, "enable_tools": True}
    async with http.post("/v1/responses", json=body) as response:
        said = [part["text"] for item in (await response.json())["output"] for part in item["content"]]
    assert "".join(said) == "one\n\ntwo"
    contents = [{"role": "user", "parts": [{"text": words}]}]
    path = "/v1beta/models/claude-sonnet-4-5-20250929:generateContent"
    async with http.post(path, json={"contents": contents, "enableTools": True}) as response:
        parts = (await response.json())["candidates"][0]["content"]["parts"]
    assert "".join(part["text"] for part in parts) == "one\n\ntwo"


async def test_many_sessions_leave_no_process_and_no_directory(gateway: Gateway, state: Path) -> None:
    for number in range(6):
        await result_of(gateway, bash(f"echo {number}"), f"many-{number}")
    assert len([path for path in state.glob("*workers/w-*") if path.is_dir()]) <= 2 + 2 + 2


async def test_messages_without_tools_gets_claudes_own_where_the_owner_wants_that(
    gateway: Gateway, tmp_path: Path
) -> None:
    body: dict[str, Any] = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 900}
    body["messages"] = [{"role": "user", "content": "hi"}]
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        gateway_on(gateway.upstream, tmp_path, messages_tools="on") as other,
        aiohttp.ClientSession(other.url, headers=headers) as http,
    ):
        await http.post("/v1/messages", json=body)
        assert offered(gateway) == ["Bash", "Edit", "Glob", "Grep", "Read", "Write"]
        for more in ({"tools": []}, {"enable_tools": False}):
            await http.post("/v1/messages", json=body | more)
            assert offered(gateway) == []


@pytest.mark.promise("tools.no-sandbox")
async def test_where_there_is_no_sandbox_no_command_runs_unless_the_owner_says_so(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # in which there is no bubblewrap
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        gateway_on(gateway.upstream, tmp_path / "one") as other,
        aiohttp.ClientSession(other.url, headers=headers) as http,
    ):
        tools = {tool["name"]: tool for tool in (await fetched(http, "/v1/tools"))["tools"]}
        assert "bwrap" in tools["Bash"]["unavailable_reason"]
        answer = await other.client.chat.completions.with_raw_response.create(
            model="claude-sonnet-4-5-20250929",
            messages=[{"role": "user", "content": call("Write", file_path="made.txt", content="x")}],
            extra_body=TOOLS | {"session_id": "s"},
        )
        assert "Bash: left out" in answer.headers["x-gateway-warnings"]
        assert offered(gateway) == ["Edit", "Glob", "Grep", "Read", "Write"]
        listed = await fetched(http, "/v1/sessions/s/files")
        assert [file["path"] for file in listed["files"]] == ["made.txt"]
        assert "confines the file tools" in await result_of(other, call("Read", file_path="/etc/hosts"), "s")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with monkeypatch.context() as patched:
        patched.setattr("workers.sandbox.programs", lambda _: ("no-such-program",))
        patched.setattr("workers.sandbox_check.programs", lambda _: ("no-such-program",))
        async with gateway_on(gateway.upstream, tmp_path / "two", allow_unsandboxed_tools=True) as other:
            assert "it runs" in await result_of(other, bash("echo it runs"))
