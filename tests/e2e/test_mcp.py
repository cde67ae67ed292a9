"""Jobs with tools of MCP servers, on the real CLI: the model's part is scripted, the servers are real programs."""

import asyncio
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import StandIn, stand_in
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on
from tests.e2e.test_start_and_stop import address, children, for_stand_in, gone, serving
from tests.e2e.workshop import bash, call, result_of
from tests.installed import SANDBOX, need

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOOLS = {"enable_tools": True}
THEN = "{{then}}"
SECRET = "s3cret-of-a-server"
PROGRAMS = Path(__file__).parent.parent / "mcp_programs"
LIBRARY = [sys.executable, str(PROGRAMS / "library.py")]
STRANGER = [sys.executable, str(PROGRAMS / "stranger.py")]
# What the programs of these tests are made of.
READABLE = ":".join((str(PROGRAMS.parent.parent), sys.prefix, sys.base_prefix))
SETTINGS: dict[str, Any] = {
    "mcp_allowed_commands": f"{shlex.join(LIBRARY)}; {shlex.join(STRANGER)} *",
    "mcp_readable_paths": READABLE,
    "mcp_allow_private_addresses": True,
    "mcp_call_seconds": 5,
    "mcp_message_mib": 2,
    "mcp_connect_seconds": 20,
}
WHALE = "Moby-Dick, 1851: a captain hunts a whale."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[StandIn]:
    async with stand_in() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(upstream: StandIn, tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    need(SANDBOX)
    async with gateway_on(upstream, tmp_path_factory.mktemp("state"), **SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(shop: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """Each test begins without a server."""
    shop.upstream.forget()
    async with session_with(shop) as session:
        for server in (await told(session.get("/v1/mcp/servers")))["servers"]:
            await told(session.delete(f"/v1/mcp/servers/{server['name']}"))
        yield session


@pytest.fixture
def gateway(shop: Gateway, http: aiohttp.ClientSession) -> Gateway:
    return shop


@asynccontextmanager
async def session_with(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        yield session


async def told(request: Any, status: int | None = None) -> Any:
    async with request as response:
        assert response.status == status if status else response.status < 300, await response.text()
        return await response.json()


async def connect(http: aiohttp.ClientSession, name: str, line: list[str], **more: Any) -> Any:
    command, *arguments = line
    await told(http.post("/v1/mcp/servers", json={"name": name, "command": command, "args": arguments, **more}))
    return await told(http.post("/v1/mcp/connect", json={"name": name}))


async def until_told(http: aiohttp.ClientSession, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The only server there is, once it is as it should be."""
    async with asyncio.timeout(20):
        while True:
            (server,) = (await told(http.get("/v1/mcp/servers")))["servers"]
            if is_so(server):
                return dict(server)
            await asyncio.sleep(0.05)  # what is waited for is another process


def programs_with(word: str) -> list[int]:
    """Those below this very process that have the word in their command lines."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [process.pid] if word in " ".join(process.cmdline()) else []
    return found


def offered(gateway: Gateway) -> list[str]:
    tools = gateway.upstream.chats[-1].body.get("tools", [])
    return sorted(tool["name"] for tool in tools if tool["name"].startswith("mcp__"))


@pytest.mark.promise("mcp.whole-job")
async def test_a_search_through_an_mcp_server_is_a_whole_job(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    before = (await told(http.get("/v1/tools/stats")))["tools"].get("mcp__library__search", {"calls": 0})
    connected = await connect(http, "library", LIBRARY)
    assert connected == {
        "message": "Connected to MCP server 'library'",
        "tools": 9,
        "resources": 1,
        "prompts": 1,
    }

    answer = await gateway.ask(
        f"{call('mcp__library__search', query='a whale')}{THEN}{{{{say It is Moby-Dick.}}}}", extra_body=TOOLS
    )

    assert answer.choices[0].message.content.endswith("It is Moby-Dick.")
    assert answer.choices[0].message.tool_calls is None
    first, second = gateway.upstream.chats
    (search,) = [tool for tool in first.body["tools"] if tool["name"] == "mcp__library__search"]
    assert search["description"] == "Searches the library."
    assert search["input_schema"]["properties"]["query"]["type"] == "string"
    (result,) = [block for block in second.body["messages"][-1]["content"] if block["type"] == "tool_result"]
    assert WHALE in str(result["content"])
    after = (await told(http.get("/v1/tools/stats")))["tools"]["mcp__library__search"]
    assert after["calls"] == before["calls"] + 1


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_of_the_network_serves_alike(gateway: Gateway, http: aiohttp.ClientSession, kind: str) -> None:
    async with on_the_network(kind) as url:
        server = {"name": "far", "url": url, "headers": {"X-Secret": SECRET}}
        await told(http.post("/v1/mcp/servers", json=server))
        counts = await told(http.post("/v1/mcp/connect", json={"name": "far"}))
        assert (counts["tools"], counts["resources"], counts["prompts"]) == (9, 1, 1)

        assert WHALE in await result_of(gateway, call("mcp__far__search", query="whale"))

    assert "failed" in await result_of(gateway, call("mcp__far__search", query="whale"))
    server = await until_told(http, lambda one: one["error"] == "it could not be reached")
    assert server["status"] == "reconnecting"


@asynccontextmanager
async def on_the_network(kind: str) -> AsyncIterator[str]:
    """The library at an address of this machine, for the length of a `with`."""
    process = await asyncio.create_subprocess_exec(*LIBRARY, kind, "0", stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while b"running on" not in (line := await process.stderr.readline()):
                assert line
        yield f"{line.split()[4].decode()}/{'mcp' if kind == 'http' else 'sse'}"
    finally:
        process.kill()
        await process.wait()


async def test_every_dialect_has_the_tools_and_no_job_without_enable_tools(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    await connect(http, "library", LIBRARY)
    hello: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"model": MODEL, "messages": hello}),
        ("/v1/responses", {"model": MODEL, "input": "hello", "store": False}),
        ("/v1/messages", {"model": MODEL, "max_tokens": 100, "messages": hello}),
        (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    ]
    for path, body in asked:
        await told(http.post(path, json=body | TOOLS))
        assert "mcp__library__search" in offered(gateway), path
        await told(http.post(path, json=body))
        assert offered(gateway) == [], path


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"X-Claude-Allowed-Tools": "Read,mcp__library__search"}, ["mcp__library__search"]),
        ({"X-Claude-Allowed-Tools": "mcp__library__search"}, ["mcp__library__search"]),
        ({"X-Claude-Allowed-Tools": "Read"}, []),
        ({"X-Claude-Disallowed-Tools": "mcp__library"}, []),
        ({"X-Claude-Allowed-Tools": "mcp__library", "X-Claude-Disallowed-Tools": "mcp__library__hang"}, 8),
    ],
)
async def test_headers_say_which_of_them_a_job_gets(
    gateway: Gateway, http: aiohttp.ClientSession, headers: dict[str, str], found: Any
) -> None:
    await connect(http, "library", LIBRARY)

    await gateway.ask("hello", extra_body=TOOLS, extra_headers=headers)

    assert offered(gateway) == found or len(offered(gateway)) == found


async def test_where_all_is_only_planned_no_server_is_called(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect(http, "library", LIBRARY)

    await gateway.ask(
        call("mcp__library__search", query="whale"),
        extra_body=TOOLS,
        extra_headers={"X-Claude-Permission-Mode": "plan"},
    )

    assert WHALE not in str(gateway.upstream.chats[-1].body)


async def test_pictures_and_failures_come_as_such(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect(http, "library", LIBRARY)

    await gateway.ask(call("mcp__library__cover") + call("mcp__library__broken"), extra_body=TOOLS)

    content = gateway.upstream.chats[-1].body["messages"][-1]["content"]
    results = [block for block in content if block["type"] == "tool_result"]
    cover, broken = sorted(results, key=lambda block: bool(block.get("is_error")))
    assert cover["content"][0]["type"] == "image"
    assert broken["is_error"]


async def test_a_session_goes_on_while_its_servers_come_and_go(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    session = TOOLS | {"session_id": "reader"}
    await connect(http, "library", LIBRARY)
    await gateway.ask(call("mcp__library__search", query="whale"), extra_body=session)
    await told(http.post("/v1/mcp/disconnect", json={"name": "library"}))

    await gateway.ask("and now?", extra_body=session)

    assert offered(gateway) == []
    assert WHALE in str(gateway.upstream.chats[-1].body["messages"])
    await told(http.post("/v1/mcp/connect", json={"name": "library"}))
    assert "Wuthering" in await result_of(gateway, call("mcp__library__search", query="moors"), "reader")


@pytest.mark.promise("mcp.out-of-reach")
async def test_no_secret_is_in_reach_of_bash_and_none_of_the_gateways_in_reach_of_a_server(
    gateway: Gateway, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await connect(http, "library", LIBRARY, env={"LIBRARY_TOKEN": SECRET})

    seen = await result_of(gateway, call("mcp__library__environment"))
    names = {line.partition("=")[0] for line in seen.replace('"', "\n").splitlines() if "=" in line}
    assert f"LIBRARY_TOKEN={SECRET}" in seen
    assert {"PATH", "HOME", "LANG", "LIBRARY_TOKEN"} <= names
    assert not {name for name in names if name.startswith(("ANTHROPIC", "API_KEY", "CLAUDE"))}
    gateway.upstream.forget()

    looked = await result_of(
        gateway,
        bash(
            f"env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; grep -rs {SECRET[:4]}cret-of /desk /tmp /etc; "
            "ls -R / 2>/dev/null | grep -c library.py; echo looked",
            timeout=20_000,
        ),
    )
    assert "looked" in looked
    assert SECRET not in looked
    assert "library.py" not in looked.replace("grep -c library.py", "")
    assert SECRET not in str(await told(http.get("/v1/mcp/servers"))) + caplog.text


@pytest.mark.parametrize(
    ("vice", "why"),
    [
        ("gone", "it ended the connection"),
        ("of-another-time", "what it answered is not of the protocol"),
        ("no-list", "what it answered is not of the protocol"),
        ("babble", "it wrote what is no message"),
        # Which bound it passes first depends on what the key's other servers have just sent.
        ("one-line", "it wrote what is no message|it sent more than"),
    ],
)
async def test_who_is_no_server_is_a_503_that_says_why(http: aiohttp.ClientSession, vice: str, why: str) -> None:
    command, *arguments = [*STRANGER, vice]
    await told(http.post("/v1/mcp/servers", json={"name": "s", "command": command, "args": arguments}))

    answer = await told(http.post("/v1/mcp/connect", json={"name": "s"}), 503)

    assert answer["error"]["code"] == "mcp_unavailable"
    assert re.search(why, answer["error"]["message"])


@pytest.mark.parametrize(
    ("vice", "told_the_model"),
    [
        ("flood", "failed: (it wrote what is no message, or one larger|it sent more than)"),
        ("nonsense", "failed: what it answered is not of the protocol"),
        ("no-picture", "An image that is none"),
        ("silent", "failed: it did not answer within 5 seconds"),
    ],
)
async def test_a_server_that_lies_or_hangs_is_told_to_the_model_and_the_job_goes_on(
    gateway: Gateway, http: aiohttp.ClientSession, vice: str, told_the_model: str
) -> None:
    await connect(http, "stranger", [*STRANGER, vice])

    answer = await gateway.ask(f"{call('mcp__stranger__look')}{THEN}{{{{say I go on.}}}}", extra_body=TOOLS)

    assert answer.choices[0].message.content.endswith("I go on.")
    assert re.search(told_the_model, str(gateway.upstream.chats[-1].body["messages"][-1]))


@pytest.mark.parametrize(("vice", "tools"), [("absurd", 4), ("a-thousand", 128), ("pages-without-end", 20)])
async def test_of_tools_without_measure_the_upstream_is_sent_what_it_takes(
    gateway: Gateway, http: aiohttp.ClientSession, vice: str, tools: int
) -> None:
    await connect(http, "stranger", [*STRANGER, vice])

    answer = await gateway.ask("hello", extra_body=TOOLS)

    assert answer.choices[0].finish_reason == "stop"
    assert len(offered(gateway)) == tools


@pytest.mark.promise("mcp.flood")
@pytest.mark.parametrize("kind", ["stdio", "http", "sse"])
async def test_a_server_that_sends_without_end_is_let_go_until_somebody_asks_for_it(
    gateway: Gateway, http: aiohttp.ClientSession, kind: str
) -> None:
    async with AsyncExitStack() as stack:
        if kind == "stdio":
            await connect(http, "library", LIBRARY)
        else:
            url = await stack.enter_async_context(on_the_network(kind))
            await told(http.post("/v1/mcp/servers", json={"name": "library", "url": url}))
            await told(http.post("/v1/mcp/connect", json={"name": "library"}))

        assert "failed: it sent more than" in await result_of(gateway, call("mcp__library__shout"))

        server = await until_told(http, lambda one: one["status"] == "disconnected")
        assert "16777216 bytes within 10 seconds" in server["error"]
        await gateway.ask("hello", extra_body=TOOLS)
        assert offered(gateway) == []
        await told(http.post("/v1/mcp/connect", json={"name": "library"}))
        assert WHALE in await result_of(gateway, call("mcp__library__search", query="whale"))


async def test_small_words_without_end_are_a_flood_too(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    await connect(http, "stranger", [*STRANGER, "chatter"])

    assert "failed: it sent more than 5000 lines" in await result_of(gateway, call("mcp__stranger__look"))

    server = await until_told(http, lambda one: one["status"] == "disconnected")
    assert not server["connected"]


async def test_a_server_that_dies_in_a_call_is_back_for_the_next_and_new_tools_are_seen(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    await connect(http, "library", LIBRARY)

    assert "it ended the connection" in await result_of(gateway, call("mcp__library__end"))
    await until_told(http, lambda one: one["connected"])
    assert WHALE in await result_of(gateway, call("mcp__library__search", query="whale"))

    await result_of(gateway, call("mcp__library__grow"))
    await until_told(http, lambda one: "mcp__library__later" in one["tool_names"])
    assert "grown" in await result_of(gateway, call("mcp__library__later"))


async def test_a_gateway_that_is_killed_takes_its_servers_with_it(upstream: StandIn, tmp_path: Path) -> None:
    env = for_stand_in(upstream) | {
        "MCP_ALLOWED_COMMANDS": SETTINGS["mcp_allowed_commands"],
        "MCP_READABLE_PATHS": READABLE,
        "API_KEY": API_KEY,
    }
    async with serving(tmp_path, env) as process:
        url = await address(process)
        before = children(process.pid)
        async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {API_KEY}"}) as http:
            await connect(http, "library", LIBRARY)
        servers = [pid for pid in children(process.pid) if pid not in before]
        assert len(servers) == 1

        process.kill()

        await gone(servers)


async def test_after_a_restart_what_was_connected_is_and_no_program_is_left_in_between(
    upstream: StandIn, tmp_path: Path
) -> None:
    need(SANDBOX)
    upstream.forget()
    before = programs_with(LIBRARY[-1])
    async with gateway_on(upstream, tmp_path, **SETTINGS) as first, session_with(first) as http:
        await connect(http, "library", LIBRARY)
        programs = [one for one in programs_with(LIBRARY[-1]) if one not in before]
        assert programs
    await gone(programs)

    async with gateway_on(upstream, tmp_path, **SETTINGS) as second, session_with(second) as http:
        await until_told(http, lambda one: one["connected"])
        assert WHALE in await result_of(second, call("mcp__library__search", query="whale"))
