"""What the callers' own tools and long histories rely on."""

from pathlib import Path
from typing import Any

from claude_gateway.cli_facts.bare_cli import MODEL, Cli, last, texts, user
from claude_gateway.cli_facts.fact import Facts, same
from claude_gateway.demo.upstream import StandIn
from workers.frames import Frame, encode
from workers.job import Text, Tool, Turn
from workers.launch import CONVERSATION
from workers.prepared import prepare
from workers.protocol import State
from workers.settings import AuthMethod

fact = Facts()

_NAMES = ("zeta", "Bash", "alpha")
_TOOLS: list[dict[str, Any]] = [
    {
        "name": name,
        "description": f"{name}, \uff21\uff22 \u2460.\n\nNever use it for locks.\n" + "word " * 2_000,
        "input_schema": {
            "type": "object",
            "properties": {
                "filter.id": {"type": "string", "enum": ["\uff21\uff22\uff23", "e\u0301", "\u0645\u06cc\u200c\u062e"]},
                "city": {"type": "string", "pattern": "^[A-Z]"},
            },
            "required": ["city"],
        },
        "strict": True,
    }
    for name in _NAMES
]


async def offer(cli: Cli, tools: list[dict[str, Any]], server: str = "caller1") -> None:
    """Make these the tools of the next request: their names by an MCP server, their definitions in its body."""
    cli.protocol.offer(tuple(Tool(tool["name"], "", {}) for tool in tools))
    body = {"tools": tools} if tools else {}
    await cli.send(
        cli.protocol.set_servers((server,) if tools else ()),
        cli.protocol.set_environment({"CLAUDE_CODE_EXTRA_BODY": encode(body).decode()}),
    )
    while tools and not cli.protocol.list_asked:
        await cli.receive()


async def _are_sent_as_they_are(cli: Cli, upstream: StandIn) -> None:
    for server, tools in (("caller1", _TOOLS), ("caller2", [{**_TOOLS[0], "description": "another"}]), ("", [])):
        await offer(cli, tools, server)
        await cli.ask("hello")
        same(last(upstream).get("tools") or [], tools)


@fact("The model reads what the client wrote: through the offer, texts are cut and letters changed.")
async def tools_in_the_extra_body_are_sent_to_the_letter_and_none_is_left_over(cli: Cli, upstream: StandIn) -> None:
    await _are_sent_as_they_are(cli, upstream)


@fact("The same where the login is a `cli` one.", login=AuthMethod.CLI)
async def tools_in_the_extra_body_are_sent_to_the_letter_with_a_cli_login_too(cli: Cli, upstream: StandIn) -> None:
    await _are_sent_as_they_are(cli, upstream)


@fact("The same where the login is Amazon's.", login=AuthMethod.BEDROCK)
async def tools_in_the_extra_body_are_sent_to_the_letter_through_bedrock_too(cli: Cli, upstream: StandIn) -> None:
    await _are_sent_as_they_are(cli, upstream)


@fact("The same where the login is Google's.", login=AuthMethod.VERTEX)
async def tools_in_the_extra_body_are_sent_to_the_letter_through_vertex_too(cli: Cli, upstream: StandIn) -> None:
    await _are_sent_as_they_are(cli, upstream)


@fact("A request of the largest size that the gateway takes is served.")
async def five_hundred_tools_of_two_kilobytes_are_sent_to_the_letter(cli: Cli, upstream: StandIn) -> None:
    many = [{**_TOOLS[0], "name": f"tool_{number}", "description": "d" * 2_000} for number in range(512)]
    await offer(cli, many)
    await cli.ask("hello")
    same(last(upstream)["tools"], many)


@fact("The call is told under the client's name, with what the model wrote.")
async def a_call_of_a_tool_that_is_offered_by_name_alone_is_asked_for_with_its_arguments(
    cli: Cli, upstream: StandIn
) -> None:
    await offer(cli, _TOOLS)
    await cli.process.write(cli.protocol.ask(user('{{tool alpha {"filter.id": "\uff21", "city": "C"}}}')))
    while not (asked := [frame for frame in await cli.receive() if _asks_leave(frame)]):
        pass
    same(asked[0]["request"]["input"], {"filter.id": "\uff21", "city": "C"})
    same(len(upstream.chats), 1)


@fact("A turn ends at the caller's tools, which he runs himself: nothing goes on behind his back.")
async def a_call_waits_for_leave_and_an_interrupt_ends_its_turn(cli: Cli, upstream: StandIn) -> None:
    await offer(cli, [{**_TOOLS[0], "name": "weather"}])
    await cli.process.write(cli.protocol.ask(user('{{tool weather {"city": "C"}}}')))
    while not any(_asks_leave(frame) for frame in await cli.receive()):
        pass
    same(cli.protocol.state, State.ANSWERING)
    await cli.send(cli.protocol.stop())
    same(len(upstream.chats), 1)


def _asks_leave(frame: Frame) -> bool:
    return frame["type"] == "control_request" and bool(frame["request"].get("subtype") == "can_use_tool")


def _earlier(directory: Path) -> Path:
    """The file of a conversation, as a fresh process takes one up."""
    turns = [turn for n in range(3) for turn in (user(f"question {n}"), Turn("assistant", (Text(f"answer {n}"),)))]
    path = directory / CONVERSATION
    path.write_bytes(prepare(turns, MODEL).lines)
    return path


@fact("A very long history is taken up in half a second.", resumed=_earlier)
async def a_fresh_process_goes_on_from_a_conversation_in_a_file(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("now")
    seen = [texts(message) for message in last(upstream)["messages"]]
    same(seen, [*([text] for n in range(3) for text in (f"question {n}", f"answer {n}")), ["now"]])
