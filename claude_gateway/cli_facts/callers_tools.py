"""What the callers' own tools and long histories rely on."""

from pathlib import Path

from claude_gateway.cli_facts.bare_cli import MODEL, Cli, last, texts, user
from claude_gateway.cli_facts.fact import Facts, same
from claude_gateway.demo.upstream import StandIn
from workers.frames import Frame
from workers.job import Text, Tool, Turn
from workers.launch import CONVERSATION
from workers.prepared import prepare
from workers.protocol import State

fact = Facts()

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}}, "required": ["city"]}


async def offer(cli: Cli, *names: str) -> None:
    """Make these the tools of the next request."""
    cli.protocol.offer(tuple(Tool(name, f"about {name}", _SCHEMA) for name in names))
    await cli.send(cli.protocol.set_servers(("caller1",)))
    while not cli.protocol.list_asked:
        await cli.receive()


@fact("A tool has the caller's name for it and his schema, or his program does not know its call.")
async def the_tools_of_a_caller_keep_their_names_and_schemas(cli: Cli, upstream: StandIn) -> None:
    await offer(cli, "weather", "Bash")
    await cli.ask("hello")
    same([tool["name"] for tool in last(upstream)["tools"]], ["Bash", "weather"])
    same([tool["input_schema"] for tool in last(upstream)["tools"]], [_SCHEMA, _SCHEMA])


@fact("A turn ends at the caller's tools, which he runs himself: nothing goes on behind his back.")
async def a_call_waits_for_leave_and_an_interrupt_ends_its_turn(cli: Cli, upstream: StandIn) -> None:
    await offer(cli, "weather")
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
