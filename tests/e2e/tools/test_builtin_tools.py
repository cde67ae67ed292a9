"""Whole jobs with built-in tools over HTTP: the model's replies are scripted, the tools are real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest
import pytest_asyncio
from openai import APIStatusError

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.tool_directives import bash_directive, get_tool_result, tool_directive
from tests.e2e.helpers.workspaces import find_in_workspaces
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The client warns that the guide's default model is near its end of life.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

TOOLS = {"enable_tools": True}
THEN = "{{then}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_tool_gateway(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    require_programs(SANDBOX_PROGRAMS)
    state = tmp_path_factory.mktemp("state")
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, state) as running:
        yield running, state


@pytest.fixture
def gateway(shared_tool_gateway: tuple[Gateway, Path]) -> Gateway:
    shared_tool_gateway[0].upstream.clear()
    return shared_tool_gateway[0]


@pytest.fixture
def state(shared_tool_gateway: tuple[Gateway, Path]) -> Path:
    return shared_tool_gateway[1]


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def anthropic_client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as connected:
        yield connected


async def get_json(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        assert response.status == 200
        return await response.json()


def read_offered_tools(gateway: Gateway) -> list[str]:
    return sorted(tool["name"] for tool in gateway.upstream.chat_requests[-1].body.get("tools", []))


@pytest.mark.promise("tools.whole-job")
async def test_uploaded_table_is_processed_and_its_drawing_downloaded(
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
    prompt = (
        "{{say I look.}}"
        + tool_directive("Read", file_path="in/data.csv")
        + THEN
        + "{{say I write.}}"
        + tool_directive("Write", file_path="/desk/plot.py", content=program)
        + THEN
        + bash_directive("python3 plot.py")
        + THEN
        + "{{say The sum is 8.}}"
    )
    completion = await gateway.ask(prompt, extra_body=TOOLS | {"session_id": "table"})
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.content.startswith("I look.\n\nI write.")
    assert completion.choices[0].message.content.endswith("The sum is 8.")
    assert completion.choices[0].message.tool_calls is None
    *_, results = gateway.upstream.chat_requests[-1].body["messages"]
    assert results["content"][0]["content"].startswith("8")
    files = await get_json(http, "/v1/sessions/table/files")
    assert [file["path"] for file in files["files"]] == ["chart.svg", "in/data.csv", "plot.py"]
    async with http.get("/v1/sessions/table/files/chart.svg") as response:
        assert response.headers["Content-Disposition"] == "attachment"
        assert (await response.read()).startswith(b"<svg")


async def test_bug_is_fixed_and_its_test_run(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await http.put("/v1/sessions/fix/files/add.py", data=b"def add(a, b):\n    return a - b\n")
    await http.put(
        "/v1/sessions/fix/files/test_add.py",
        data=b"import unittest\nfrom add import add\n\n\nclass T(unittest.TestCase):\n"
        b"    def test(self):\n        self.assertEqual(add(2, 3), 5)\n",
    )
    prompt = (
        bash_directive("python3 -B -m unittest 2>&1 | tail -1")
        + THEN
        + tool_directive("Read", file_path="/desk/add.py")
        + THEN
        + tool_directive("Edit", file_path="/desk/add.py", old_string="a - b", new_string="a + b")
        + THEN
        + bash_directive("python3 -B -m unittest 2>&1 | tail -1")
        + THEN
        + "{{say Mended.}}"
    )
    await gateway.ask(prompt, extra_body=TOOLS | {"session_id": "fix"})
    texts = [
        block["content"]
        for message in gateway.upstream.chat_requests[-1].body["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert texts[0].startswith("FAILED")
    assert texts[-1].startswith("OK")
    async with http.get("/v1/sessions/fix/files/add.py") as response:
        assert b"a + b" in await response.read()


async def test_request_without_enable_tools_gets_no_builtin_tools(gateway: Gateway) -> None:
    await gateway.ask("hello", extra_headers={"X-Claude-Allowed-Tools": "Read"})
    assert read_offered_tools(gateway) == []


async def test_default_tools_come_with_the_claude_code_prompt_before_the_client_prompt(gateway: Gateway) -> None:
    await gateway.ask({"role": "system", "content": "Speak like a pirate."}, "hello", extra_body=TOOLS)
    assert read_offered_tools(gateway) == ["Bash", "Edit", "Glob", "Grep", "Read", "Write"]
    system = "\n".join(block["text"] for block in gateway.upstream.chat_requests[-1].body["system"])
    assert "Speak like a pirate." in system
    assert len(system) > 5_000


async def test_usage_covers_all_turns_and_progress_comes_as_reasoning(gateway: Gateway) -> None:
    prompt = (
        bash_directive("echo one") + "{{usage input=10 output=1}}" + THEN + "{{say done}}{{usage input=20 output=2}}"
    )
    completion = await gateway.ask(prompt, extra_body=TOOLS | {"stream_tool_progress": True})
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (30, 3)
    assert completion.choices[0].message.reasoning_content == "Bash: echo one\n"
    silent = await gateway.ask(prompt, extra_body=TOOLS)
    assert not hasattr(silent.choices[0].message, "reasoning_content")


async def test_progress_comes_in_every_dialect_only_on_request(
    http: aiohttp.ClientSession,
) -> None:
    prompt, model = bash_directive("echo x") + THEN + "{{say done}}", "claude-sonnet-4-5-20250929"
    gemini = {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0}},
        "enableTools": True,
    }
    for path, body, ask in (
        ("/v1/responses", {"model": model, "input": prompt} | TOOLS, {"stream_tool_progress": True}),
        (f"/v1beta/models/{model}:generateContent", gemini, {"streamToolProgress": True}),
    ):
        async with http.post(path, json=body | ask) as response:
            assert "Bash: echo x" in await response.text(), path
        async with http.post(path, json=body) as response:
            assert "Bash: echo x" not in await response.text(), path
            assert response.status == 200


@pytest.mark.promise("tools.progress-blocks")
async def test_messages_reports_each_call_in_server_tool_blocks_and_the_next_turn_continues(
    gateway: Gateway, anthropic_client: anthropic.AsyncAnthropic
) -> None:
    prompt = (
        "{{say I look.}}"
        + bash_directive("echo x; exit 3")
        + tool_directive("Glob", pattern="*")
        + THEN
        + "{{say done}}"
    )
    parameters: Any = {"model": MODEL, "max_tokens": 900}
    options = {"extra_body": TOOLS | {"stream_tool_progress": True}}
    whole = await anthropic_client.messages.create(
        **parameters, messages=[{"role": "user", "content": prompt}], **options
    )
    options["extra_body"] |= {"session_id": "blocks"}
    history: Any = [{"role": "user", "content": prompt}]
    async with anthropic_client.messages.stream(**parameters, messages=history, **options) as stream:
        streamed = await stream.get_final_message()
    kinds = [
        *("text", "server_tool_use", "server_tool_use"),
        *("bash_code_execution_tool_result", "code_execution_tool_result", "text"),
    ]
    for message in (whole, streamed):
        assert sorted(block.type for block in message.content) == sorted(kinds)
        blocks_by_type = {block.type: block for block in message.content}
        assert blocks_by_type["bash_code_execution_tool_result"].content.return_code == 3
        assert "x" in blocks_by_type["bash_code_execution_tool_result"].content.stderr
        assert {"command": "echo x; exit 3"} in [block.input for block in message.content if hasattr(block, "input")]
    # The whole message comes back, as every program sends it, and the process already has that turn.
    history += [{"role": "assistant", "content": [block.to_dict() for block in streamed.content]}]
    next_message = await anthropic_client.messages.create(
        **parameters, messages=[*history, {"role": "user", "content": "more"}], **options
    )
    assert [block.type for block in next_message.content] == ["text"]
    sent = gateway.upstream.chat_requests[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant"] * 2 + ["user"]
    assert sent[-1]["content"][-1]["text"] == "more"
    assert "tool_use" in [block["type"] for block in sent[1]["content"]]


async def test_messages_reports_no_call_without_a_request_for_it(anthropic_client: anthropic.AsyncAnthropic) -> None:
    question: Any = [{"role": "user", "content": bash_directive("echo x") + THEN + "{{say done}}"}]
    completion = await anthropic_client.messages.create(
        model=MODEL, max_tokens=900, messages=question, extra_body=TOOLS
    )
    assert {block.type for block in completion.content} == {"text"}
    # Programs send such blocks back wherever the conversation continues, here without a session.
    call_block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}}
    question += [{"role": "assistant", "content": [call_block, {"type": "text", "text": "done"}]}]
    question += [{"role": "user", "content": "more"}]
    raw = await anthropic_client.messages.with_raw_response.create(model=MODEL, max_tokens=900, messages=question)
    assert "converted calls of hosted tools to text" in raw.headers["x-gateway-warnings"]


async def test_json_reply_is_the_last_text_of_the_model(gateway: Gateway) -> None:
    prompt = "{{say I look.}}" + bash_directive("echo 1") + THEN + '{{say {"a":1}}}'
    completion = await gateway.ask(prompt, extra_body=TOOLS, response_format={"type": "json_object"})
    assert completion.choices[0].message.content == '{"a":1}'


async def test_streamed_text_equals_the_whole_text(gateway: Gateway) -> None:
    prompt = "{{say one}}" + bash_directive("echo x") + THEN + "{{say two}}"
    assert await gateway.stream_text(prompt, extra_body=TOOLS) == "one\n\ntwo"


@pytest.mark.promise("tools.max-turns")
async def test_turn_limit_ends_the_job_with_a_notice(gateway: Gateway, state: Path) -> None:
    prompt = THEN.join(bash_directive(f"echo {n} >> count") for n in range(5)) + THEN + "{{say never}}"
    completion = await gateway.ask(
        prompt, extra_body=TOOLS | {"session_id": "turns"}, extra_headers={"X-Claude-Max-Turns": "2"}
    )
    assert completion.choices[0].finish_reason == "length"
    assert len(gateway.upstream.chat_requests) == 2
    (count,) = find_in_workspaces(state, "count")
    assert count.read_text() == "0\n1\n"


@pytest.mark.promise("tools.precedence")
async def test_header_overrides_the_session_and_the_session_overrides_the_key(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    async def tools_of(session: str, **headers: str) -> list[str]:
        await gateway.ask("hello", extra_body=TOOLS | {"session_id": session}, extra_headers=headers)
        return read_offered_tools(gateway)

    await http.post("/v1/tools/config", json={"allowed_tools": ["Read", "Glob", "Grep"], "disallowed_tools": ["Grep"]})
    await http.post("/v1/tools/config", json={"session_id": "of-its-own", "allowed_tools": ["Read", "Task"]})
    try:
        assert await tools_of("any") == ["Glob", "Read"]
        assert await tools_of("of-its-own") == ["Agent", "Read"]
        assert await tools_of("of-its-own", **{"X-Claude-Allowed-Tools": "Write, Grep"}) == ["Write"]
        assert (await get_json(http, "/v1/tools/config?session_id=of-its-own"))["effective_tools"] == ["Read", "Task"]
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
async def test_invalid_header_is_a_400_that_names_it(gateway: Gateway, header: str, value: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        await gateway.ask("hello", extra_body=TOOLS, extra_headers={header: value})
    assert caught.value.status_code == 400
    assert header in caught.value.message
    assert gateway.upstream.requests == []


async def test_plan_mode_changes_nothing_and_refusals_are_counted(
    gateway: Gateway, http: aiohttp.ClientSession, state: Path
) -> None:
    before = (await get_json(http, "/v1/tools/stats"))["total_denied"]
    await gateway.ask(
        tool_directive("Write", file_path="/desk/planned.txt", content="x"),
        extra_body=TOOLS | {"session_id": "plan"},
        extra_headers={"X-Claude-Permission-Mode": "plan"},
    )
    assert not find_in_workspaces(state, "planned.txt")
    assert (await get_json(http, "/v1/tools/stats"))["total_denied"] == before + 1


async def test_thinking_tokens_of_the_header_reach_the_model_with_and_without_tools(gateway: Gateway) -> None:
    for extra in (TOOLS, {}):
        await gateway.ask("hello", extra_body=extra, extra_headers={"X-Claude-Max-Thinking-Tokens": "2000"})
        assert gateway.upstream.chat_requests[-1].body["thinking"]["budget_tokens"] == 2000


async def test_session_continues_in_its_process_and_in_the_next_one(gateway: Gateway) -> None:
    session = {"session_id": "goes-on"}
    await gateway.ask("first {{say one}}" + bash_directive("echo kept > here"), extra_body=TOOLS | session)
    assert "kept" in await get_tool_result(gateway, bash_directive("cat here"), "goes-on")
    assert "tool_use" in str(gateway.upstream.chat_requests[-1].body["messages"][1])
    # Other tools need another process: the gateway replays the conversation, and the workspace still has its files.
    blocks_by_type = await get_tool_result(gateway, tool_directive("Read", file_path="/desk/here"), "goes-on")
    assert "kept" in blocks_by_type
    await gateway.ask(
        "now" + tool_directive("Grep", pattern="kept"),
        extra_body=TOOLS | session,
        extra_headers={"X-Claude-Allowed-Tools": "Grep"},
    )
    assert "here" in str(gateway.upstream.chat_requests[-1].body["messages"][-1])
    assert "first" in str(gateway.upstream.chat_requests[-1].body["messages"][0])


@pytest.mark.promise("tools.cleanup")
async def test_files_of_a_session_are_deleted_with_it(
    gateway: Gateway, http: aiohttp.ClientSession, state: Path
) -> None:
    await get_tool_result(gateway, bash_directive("mkdir -p a/b; touch a/b/gone; chmod 0 a/b a"), "short")
    assert (await http.delete("/v1/sessions/short")).status == 200
    assert not find_in_workspaces(state, "a")
    await get_tool_result(gateway, bash_directive("touch of-one-job"))
    while find_in_workspaces(state, "of-one-job"):
        await asyncio.to_thread(lambda: None)


@pytest.mark.promise("tools.files")
async def test_files_are_downloaded_only_by_their_own_names(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await get_tool_result(
        gateway,
        bash_directive(
            "echo own > own; ln own second; ln -s /etc/hosts link; ln -s /etc dir; mkfifo pipe; echo a > 'a b'"
        ),
        "names",
    )
    files = await get_json(http, "/v1/sessions/names/files")
    assert [file["path"] for file in files["files"]] == ["a b"]
    for path in ("own", "second", "link", "dir/hosts", "pipe", "%2e%2e/x", "a%2f..%2f..%2fx", "", "/etc/hosts", "none"):
        async with http.get(f"/v1/sessions/names/files/{path}") as response:
            assert response.status in (400, 404), path
            assert b"localhost" not in await response.read()
    for path in ("link", "dir/hosts", "dir"):
        await http.put(f"/v1/sessions/names/files/{path}", data=b"mine")
    assert "localhost" in await get_tool_result(gateway, bash_directive("cat /etc/hosts"), "names")
    assert (await http.delete("/v1/sessions/names/files/a%20b")).status == 200
    assert (await http.get("/v1/sessions/names/files/a%20b")).status == 404
    assert (await http.get("/v1/sessions/unknown/files")).status == 404


async def test_catalog_lists_tools_and_reasons_for_unavailable_ones(http: aiohttp.ClientSession) -> None:
    files = await get_json(http, "/v1/tools")
    assert files["total"] == len(files["tools"]) == 14
    available = {tool["name"] for tool in files["tools"] if tool["is_available"]}
    assert {"Read", "Write", "Edit", "Glob", "Grep", "Bash", "Task", "NotebookEdit", "WebSearch"} == available
    assert all("unavailable_reason" in tool for tool in files["tools"] if not tool["is_available"])


async def test_request_with_client_tools_gets_no_builtin_tools(gateway: Gateway) -> None:
    client_tools = [
        {"type": "function", "function": {"name": "mine", "parameters": {"type": "object", "properties": {}}}}
    ]
    await gateway.ask("hello", extra_body=TOOLS, tools=client_tools)
    assert read_offered_tools(gateway) == ["mine"]


async def test_messages_offers_builtin_tools_only_on_request(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    body = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 900, "messages": [{"role": "user", "content": "hi"}]}
    assert (await http.post("/v1/messages", json=body)).status == 200
    assert read_offered_tools(gateway) == []
    prompt = "{{say one}}" + bash_directive("echo x") + THEN + "{{say two}}"
    body["messages"] = [{"role": "user", "content": prompt}]
    async with http.post("/v1/messages", json=body | TOOLS) as response:
        message = await response.json()
    assert [block["type"] for block in message["content"]] == ["text", "text"]
    assert message["stop_reason"] == "end_turn"


async def test_responses_and_gemini_offer_builtin_tools(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    prompt = "{{say one}}" + bash_directive("echo x") + THEN + "{{say two}}"
    body = {"model": "claude-sonnet-4-5-20250929", "input": prompt, "enable_tools": True}
    async with http.post("/v1/responses", json=body) as response:
        texts = [part["text"] for item in (await response.json())["output"] for part in item["content"]]
    assert "".join(texts) == "one\n\ntwo"
    contents = [{"role": "user", "parts": [{"text": prompt}]}]
    path = "/v1beta/models/claude-sonnet-4-5-20250929:generateContent"
    async with http.post(path, json={"contents": contents, "enableTools": True}) as response:
        parts = (await response.json())["candidates"][0]["content"]["parts"]
    assert "".join(part["text"] for part in parts) == "one\n\ntwo"


async def test_many_sessions_leave_no_process_and_no_directory(gateway: Gateway, state: Path) -> None:
    for number in range(6):
        await get_tool_result(gateway, bash_directive(f"echo {number}"), f"many-{number}")
    assert len([path for path in state.glob("*workers/w-*") if path.is_dir()]) <= 2 + 2 + 2


async def test_messages_without_tools_gets_builtin_tools_if_the_operator_enables_them(
    gateway: Gateway, tmp_path: Path
) -> None:
    body: dict[str, Any] = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 900}
    body["messages"] = [{"role": "user", "content": "hi"}]
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        run_gateway_on(gateway.upstream, tmp_path, messages_enable_tools=True) as other,
        aiohttp.ClientSession(other.url, headers=headers) as http,
    ):
        await http.post("/v1/messages", json=body)
        assert read_offered_tools(gateway) == ["Bash", "Edit", "Glob", "Grep", "Read", "Write"]
        for options in ({"tools": []}, {"enable_tools": False}):
            await http.post("/v1/messages", json=body | options)
            assert read_offered_tools(gateway) == []


@pytest.mark.promise("tools.no-sandbox")
async def test_no_command_runs_without_a_sandbox_unless_the_operator_allows_it(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # this directory has no bubblewrap
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        run_gateway_on(gateway.upstream, tmp_path / "one") as other,
        aiohttp.ClientSession(other.url, headers=headers) as http,
    ):
        tools = {tool["name"]: tool for tool in (await get_json(http, "/v1/tools"))["tools"]}
        assert "bwrap" in tools["Bash"]["unavailable_reason"]
        completion = await other.client.chat.completions.with_raw_response.create(
            model="claude-sonnet-4-5-20250929",
            messages=[{"role": "user", "content": tool_directive("Write", file_path="made.txt", content="x")}],
            extra_body=TOOLS | {"session_id": "s"},
        )
        assert "Bash: omitted" in completion.headers["x-gateway-warnings"]
        assert read_offered_tools(gateway) == ["Edit", "Glob", "Grep", "Read", "Write"]
        files = await get_json(http, "/v1/sessions/s/files")
        assert [file["path"] for file in files["files"]] == ["made.txt"]
        assert "confines the file tools" in await get_tool_result(
            other, tool_directive("Read", file_path="/etc/hosts"), "s"
        )
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with monkeypatch.context() as patched:
        patched.setattr("workers.sandbox.cli_sandbox.list_cli_sandbox_programs", lambda _: ("no-such-program",))
        patched.setattr("workers.sandbox.probe.list_cli_sandbox_programs", lambda _: ("no-such-program",))
        async with run_gateway_on(gateway.upstream, tmp_path / "two", allow_unsandboxed_tools=True) as other:
            assert "it runs" in await get_tool_result(other, bash_directive("echo it runs"))
