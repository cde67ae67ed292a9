"""Jobs with tools of MCP servers, on the real CLI: the model's replies are scripted, the servers are real programs."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.gateway_process import fake_api_env, read_gateway_url, run_gateway_process
from tests.e2e.helpers.mcp import (
    LIBRARY_SERVER,
    MCP_SETTINGS,
    MISBEHAVING_SERVER,
    READABLE_PATHS,
    connect_server,
    open_http_session,
    read_json_response,
)
from tests.e2e.helpers.processes import list_child_pids, wait_exited
from tests.e2e.helpers.tool_directives import bash_directive, get_tool_result, tool_directive
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOOLS = {"enable_tools": True}
THEN = "{{then}}"
SECRET = "s3cret-of-a-server"
SEARCH_RESULT = "Moby-Dick, 1851: a captain hunts a whale."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FakeAnthropic]:
    async with run_fake_anthropic() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_mcp_gateway(upstream: FakeAnthropic, tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    require_programs(SANDBOX_PROGRAMS)
    async with run_gateway_on(upstream, tmp_path_factory.mktemp("state"), **MCP_SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(shared_mcp_gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP session after deleting every MCP server."""
    shared_mcp_gateway.upstream.clear()
    async with open_http_session(shared_mcp_gateway) as session:
        for server in (await read_json_response(session.get("/v1/mcp/servers")))["servers"]:
            await read_json_response(session.delete(f"/v1/mcp/servers/{server['name']}"))
        yield session


@pytest.fixture
def gateway(shared_mcp_gateway: Gateway, http: aiohttp.ClientSession) -> Gateway:
    return shared_mcp_gateway


async def wait_for_server(http: aiohttp.ClientSession, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the only server fulfils the condition, and return it."""
    async with asyncio.timeout(20):
        while True:
            (server,) = (await read_json_response(http.get("/v1/mcp/servers")))["servers"]
            if is_reached(server):
                return dict(server)
            await asyncio.sleep(0.05)  # another process changes the state, and sends no event


def find_child_pids(word: str) -> list[int]:
    """Return the child processes of this process with `word` in their command lines."""
    pids = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            pids += [process.pid] if word in " ".join(process.cmdline()) else []
    return pids


def read_offered_tools(gateway: Gateway) -> list[str]:
    tools = gateway.upstream.chat_requests[-1].body.get("tools", [])
    return sorted(tool["name"] for tool in tools if tool["name"].startswith("mcp__"))


@pytest.mark.promise("mcp.whole-job")
async def test_job_searches_through_an_mcp_server(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    before = (await read_json_response(http.get("/v1/tools/stats")))["tools"].get("mcp__library__search", {"calls": 0})
    connected = await connect_server(http, "library", LIBRARY_SERVER)
    assert connected == {
        "message": "Connected to MCP server 'library'",
        "tools": 9,
        "resources": 1,
        "prompts": 1,
    }

    completion = await gateway.ask(
        f"{tool_directive('mcp__library__search', query='a whale')}{THEN}{{{{say It is Moby-Dick.}}}}", extra_body=TOOLS
    )

    assert completion.choices[0].message.content.endswith("It is Moby-Dick.")
    assert completion.choices[0].message.tool_calls is None
    first, second = gateway.upstream.chat_requests
    (search,) = [tool for tool in first.body["tools"] if tool["name"] == "mcp__library__search"]
    assert search["description"] == "Search the library."
    assert search["input_schema"]["properties"]["query"]["type"] == "string"
    (result,) = [block for block in second.body["messages"][-1]["content"] if block["type"] == "tool_result"]
    assert SEARCH_RESULT in str(result["content"])
    after = (await read_json_response(http.get("/v1/tools/stats")))["tools"]["mcp__library__search"]
    assert after["calls"] == before["calls"] + 1


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_http_server_works_like_a_stdio_server(gateway: Gateway, http: aiohttp.ClientSession, kind: str) -> None:
    async with run_http_server(kind) as url:
        server = {"name": "far", "url": url, "headers": {"X-Secret": SECRET}}
        await read_json_response(http.post("/v1/mcp/servers", json=server))
        counts = await read_json_response(http.post("/v1/mcp/connect", json={"name": "far"}))
        assert (counts["tools"], counts["resources"], counts["prompts"]) == (9, 1, 1)

        assert SEARCH_RESULT in await get_tool_result(gateway, tool_directive("mcp__far__search", query="whale"))

    assert "failed" in await get_tool_result(gateway, tool_directive("mcp__far__search", query="whale"))
    server = await wait_for_server(http, lambda state: state["error"] == "the server could not be reached")
    assert server["status"] == "reconnecting"


@asynccontextmanager
async def run_http_server(kind: str) -> AsyncIterator[str]:
    """Run the library server at an address of this machine."""
    process = await asyncio.create_subprocess_exec(*LIBRARY_SERVER, kind, "0", stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while b"running on" not in (line := await process.stderr.readline()):
                assert line
        yield f"{line.split()[4].decode()}/{'mcp' if kind == 'http' else 'sse'}"
    finally:
        process.kill()
        await process.wait()


async def test_every_dialect_offers_mcp_tools_only_with_enable_tools(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    await connect_server(http, "library", LIBRARY_SERVER)
    hello: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"model": MODEL, "messages": hello}),
        ("/v1/responses", {"model": MODEL, "input": "hello", "store": False}),
        ("/v1/messages", {"model": MODEL, "max_tokens": 100, "messages": hello}),
        (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    ]
    for path, body in requests:
        await read_json_response(http.post(path, json=body | TOOLS))
        assert "mcp__library__search" in read_offered_tools(gateway), path
        await read_json_response(http.post(path, json=body))
        assert read_offered_tools(gateway) == [], path


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Claude-Allowed-Tools": "Read,mcp__library__search"}, ["mcp__library__search"]),
        ({"X-Claude-Allowed-Tools": "mcp__library__search"}, ["mcp__library__search"]),
        ({"X-Claude-Allowed-Tools": "Read"}, []),
        ({"X-Claude-Disallowed-Tools": "mcp__library"}, []),
        ({"X-Claude-Allowed-Tools": "mcp__library", "X-Claude-Disallowed-Tools": "mcp__library__hang"}, 8),
    ],
)
async def test_headers_select_the_mcp_tools_of_a_job(
    gateway: Gateway, http: aiohttp.ClientSession, headers: dict[str, str], expected: Any
) -> None:
    await connect_server(http, "library", LIBRARY_SERVER)

    await gateway.ask("hello", extra_body=TOOLS, extra_headers=headers)

    assert read_offered_tools(gateway) == expected or len(read_offered_tools(gateway)) == expected


async def test_plan_mode_calls_no_server(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect_server(http, "library", LIBRARY_SERVER)

    await gateway.ask(
        tool_directive("mcp__library__search", query="whale"),
        extra_body=TOOLS,
        extra_headers={"X-Claude-Permission-Mode": "plan"},
    )

    assert SEARCH_RESULT not in str(gateway.upstream.chat_requests[-1].body)


async def test_images_and_failures_of_a_server_reach_the_model(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect_server(http, "library", LIBRARY_SERVER)

    await gateway.ask(tool_directive("mcp__library__cover") + tool_directive("mcp__library__broken"), extra_body=TOOLS)

    content = gateway.upstream.chat_requests[-1].body["messages"][-1]["content"]
    results = [block for block in content if block["type"] == "tool_result"]
    cover, broken = sorted(results, key=lambda block: bool(block.get("is_error")))
    assert cover["content"][0]["type"] == "image"
    assert broken["is_error"]


async def test_session_continues_while_servers_connect_and_disconnect(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    session = TOOLS | {"session_id": "reader"}
    await connect_server(http, "library", LIBRARY_SERVER)
    await gateway.ask(tool_directive("mcp__library__search", query="whale"), extra_body=session)
    await read_json_response(http.post("/v1/mcp/disconnect", json={"name": "library"}))

    await gateway.ask("and now?", extra_body=session)

    assert read_offered_tools(gateway) == []
    assert SEARCH_RESULT in str(gateway.upstream.chat_requests[-1].body["messages"])
    await read_json_response(http.post("/v1/mcp/connect", json={"name": "library"}))
    assert "Wuthering" in await get_tool_result(
        gateway, tool_directive("mcp__library__search", query="moors"), "reader"
    )


@pytest.mark.promise("mcp.out-of-reach")
async def test_bash_and_servers_see_no_secret_of_each_other_or_the_gateway(
    gateway: Gateway, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await connect_server(http, "library", LIBRARY_SERVER, env={"LIBRARY_TOKEN": SECRET})

    environment = await get_tool_result(gateway, tool_directive("mcp__library__environment"))
    names = {line.partition("=")[0] for line in environment.replace('"', "\n").splitlines() if "=" in line}
    assert f"LIBRARY_TOKEN={SECRET}" in environment
    assert {"PATH", "HOME", "LANG", "LIBRARY_TOKEN"} <= names
    assert not {name for name in names if name.startswith(("ANTHROPIC", "API_KEY", "CLAUDE"))}
    gateway.upstream.clear()

    output = await get_tool_result(
        gateway,
        bash_directive(
            f"env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; grep -rs {SECRET[:4]}cret-of /desk /tmp /etc; "
            "ls -R / 2>/dev/null | grep -c library.py; echo looked",
            timeout=20_000,
        ),
    )
    assert "looked" in output
    assert SECRET not in output
    assert "library.py" not in output.replace("grep -c library.py", "")
    assert SECRET not in str(await read_json_response(http.get("/v1/mcp/servers"))) + caplog.text


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("gone", "the server closed the connection"),
        ("of-another-time", "the server sent a response that is not valid MCP"),
        ("no-list", "the server sent a response that is not valid MCP"),
        # Which limit these servers pass first depends on the recent messages of the key's other servers.
        ("babble", "the server sent (invalid messages|more than)"),
        ("one-line", "the server sent (invalid messages|more than)"),
    ],
)
async def test_program_that_is_not_a_server_is_a_503_with_a_reason(
    http: aiohttp.ClientSession, behavior: str, reason: str
) -> None:
    command, *arguments = [*MISBEHAVING_SERVER, behavior]
    await read_json_response(http.post("/v1/mcp/servers", json={"name": "s", "command": command, "args": arguments}))

    response = await read_json_response(http.post("/v1/mcp/connect", json={"name": "s"}), 503)

    assert response["error"]["code"] == "mcp_unavailable"
    assert re.search(reason, response["error"]["message"])


@pytest.mark.parametrize(
    ("behavior", "result"),
    [
        ("flood", "failed: the server sent (invalid messages, or a message larger|more than)"),
        ("nonsense", "failed: the server sent a response that is not valid MCP"),
        ("no-picture", "An image that is invalid"),
        ("silent", "failed: the server did not respond within 5 seconds"),
    ],
)
async def test_misbehaving_server_is_reported_to_the_model_and_the_job_continues(
    gateway: Gateway, http: aiohttp.ClientSession, behavior: str, result: str
) -> None:
    await connect_server(http, "misbehaving", [*MISBEHAVING_SERVER, behavior])

    prompt = f"{tool_directive('mcp__misbehaving__look')}{THEN}{{{{say I go on.}}}}"
    completion = await gateway.ask(prompt, extra_body=TOOLS)

    assert completion.choices[0].message.content.endswith("I go on.")
    assert re.search(result, str(gateway.upstream.chat_requests[-1].body["messages"][-1]))


@pytest.mark.parametrize(("behavior", "tools"), [("absurd", 4), ("a-thousand", 128), ("pages-without-end", 20)])
async def test_oversized_tool_list_is_limited_to_what_the_upstream_accepts(
    gateway: Gateway, http: aiohttp.ClientSession, behavior: str, tools: int
) -> None:
    await connect_server(http, "misbehaving", [*MISBEHAVING_SERVER, behavior])

    completion = await gateway.ask("hello", extra_body=TOOLS)

    assert completion.choices[0].finish_reason == "stop"
    assert len(read_offered_tools(gateway)) == tools


@pytest.mark.promise("mcp.flood")
@pytest.mark.parametrize("kind", ["stdio", "http", "sse"])
async def test_server_that_sends_endlessly_is_disconnected_until_a_client_reconnects_it(
    gateway: Gateway, http: aiohttp.ClientSession, kind: str
) -> None:
    async with AsyncExitStack() as stack:
        if kind == "stdio":
            await connect_server(http, "library", LIBRARY_SERVER)
        else:
            url = await stack.enter_async_context(run_http_server(kind))
            await read_json_response(http.post("/v1/mcp/servers", json={"name": "library", "url": url}))
            await read_json_response(http.post("/v1/mcp/connect", json={"name": "library"}))

        assert "failed: the server sent more than" in await get_tool_result(
            gateway, tool_directive("mcp__library__shout")
        )

        server = await wait_for_server(http, lambda state: state["status"] == "disconnected")
        assert "16777216 bytes within 10 seconds" in server["error"]
        await gateway.ask("hello", extra_body=TOOLS)
        assert read_offered_tools(gateway) == []
        await read_json_response(http.post("/v1/mcp/connect", json={"name": "library"}))
        assert SEARCH_RESULT in await get_tool_result(gateway, tool_directive("mcp__library__search", query="whale"))


async def test_endless_small_messages_count_as_a_flood(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect_server(http, "misbehaving", [*MISBEHAVING_SERVER, "chatter"])

    assert "failed: the server sent more than 5000 lines" in await get_tool_result(
        gateway, tool_directive("mcp__misbehaving__look")
    )

    server = await wait_for_server(http, lambda state: state["status"] == "disconnected")
    assert not server["connected"]


async def test_server_that_exits_in_a_call_is_restarted_for_the_next_with_its_new_tools(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    await connect_server(http, "library", LIBRARY_SERVER)

    assert "the server closed the connection" in await get_tool_result(gateway, tool_directive("mcp__library__end"))
    await wait_for_server(http, lambda state: state["connected"])
    assert SEARCH_RESULT in await get_tool_result(gateway, tool_directive("mcp__library__search", query="whale"))

    await get_tool_result(gateway, tool_directive("mcp__library__grow"))
    await wait_for_server(http, lambda state: "mcp__library__later" in state["tool_names"])
    assert "grown" in await get_tool_result(gateway, tool_directive("mcp__library__later"))


async def test_servers_of_a_killed_gateway_exit(upstream: FakeAnthropic, tmp_path: Path) -> None:
    env = fake_api_env(upstream) | {
        "MCP_ALLOWED_COMMANDS": MCP_SETTINGS["mcp_allowed_commands"],
        "MCP_READABLE_PATHS": READABLE_PATHS,
        "API_KEY": API_KEY,
    }
    async with run_gateway_process(tmp_path, env) as process:
        url = await read_gateway_url(process)
        before = list_child_pids(process.pid)
        async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {API_KEY}"}) as http:
            await connect_server(http, "library", LIBRARY_SERVER)
        servers = [pid for pid in list_child_pids(process.pid) if pid not in before]
        assert len(servers) == 1

        process.kill()

        await wait_exited(servers)


async def test_restart_reconnects_servers_and_leaves_no_program_in_between(
    upstream: FakeAnthropic, tmp_path: Path
) -> None:
    require_programs(SANDBOX_PROGRAMS)
    upstream.clear()
    before = find_child_pids(LIBRARY_SERVER[-1])
    async with run_gateway_on(upstream, tmp_path, **MCP_SETTINGS) as first, open_http_session(first) as http:
        await connect_server(http, "library", LIBRARY_SERVER)
        programs = [state for state in find_child_pids(LIBRARY_SERVER[-1]) if state not in before]
        assert programs
    await wait_exited(programs)

    async with run_gateway_on(upstream, tmp_path, **MCP_SETTINGS) as second, open_http_session(second) as http:
        await wait_for_server(http, lambda state: state["connected"])
        assert SEARCH_RESULT in await get_tool_result(second, tool_directive("mcp__library__search", query="whale"))
