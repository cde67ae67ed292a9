"""Contract checks for the tools that clients define, and for long conversations."""

from pathlib import Path
from typing import Any

from claude_gateway.devtools.cli_contract.check import ContractCheckRegistry, require_equal
from claude_gateway.devtools.cli_contract.driver import MODEL, CliDriver, last_request_body, message_texts, user_turn
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.cli.command import RESUME_FILE_NAME
from workers.cli.protocol import ProtocolState
from workers.conversation.resume_file import build_resume_file
from workers.core.frame import Frame, encode_line
from workers.core.job import Text, ToolDefinition, Turn
from workers.core.settings import AuthMethod

contract_check = ContractCheckRegistry()

_TOOL_NAMES = ("zeta", "Bash", "alpha")
_CLIENT_TOOLS: list[dict[str, Any]] = [
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
    for name in _TOOL_NAMES
]


async def set_client_tools(cli: CliDriver, tools: list[dict[str, Any]], server_name: str = "caller1") -> None:
    """Set the client tools that the CLI offers to the model in the next request.

    The CLI gets the names of the tools from an MCP server with the name `server_name`. It gets the definitions of the
    tools in the environment variable `CLAUDE_CODE_EXTRA_BODY`, and copies the definitions into the request.
    """
    cli.protocol.set_tools(tuple(ToolDefinition(tool["name"], "", {}) for tool in tools))
    body = {"tools": tools} if tools else {}
    await cli.send(
        cli.protocol.set_mcp_servers((server_name,) if tools else ()),
        cli.protocol.set_environment({"CLAUDE_CODE_EXTRA_BODY": encode_line(body).decode()}),
    )
    while tools and not cli.protocol.has_listed_tools:
        await cli.receive()


async def _require_sent_unchanged(cli: CliDriver, upstream: FakeAnthropic) -> None:
    for server, tools in (
        ("caller1", _CLIENT_TOOLS),
        ("caller2", [{**_CLIENT_TOOLS[0], "description": "another"}]),
        ("", []),
    ):
        await set_client_tools(cli, tools, server)
        await cli.ask("hello")
        require_equal(last_request_body(upstream).get("tools") or [], tools)


@contract_check("The model must read the exact tools of the client; the CLI changes those of MCP servers.")
async def tools_in_the_extra_body_are_sent_unchanged_and_none_remains_afterwards(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await _require_sent_unchanged(cli, upstream)


@contract_check(
    "The login of the CLI must not change the tools.",
    auth_method=AuthMethod.CLI,
)
async def tools_in_the_extra_body_are_sent_unchanged_with_a_cli_login(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await _require_sent_unchanged(cli, upstream)


@contract_check(
    "Amazon Bedrock must not change the tools.",
    auth_method=AuthMethod.BEDROCK,
)
async def tools_in_the_extra_body_are_sent_unchanged_through_bedrock(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await _require_sent_unchanged(cli, upstream)


@contract_check(
    "Google Vertex AI must not change the tools.",
    auth_method=AuthMethod.VERTEX,
)
async def tools_in_the_extra_body_are_sent_unchanged_through_vertex(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await _require_sent_unchanged(cli, upstream)


@contract_check("The gateway accepts requests with this many tools.")
async def five_hundred_tools_of_two_kilobytes_are_sent_unchanged(cli: CliDriver, upstream: FakeAnthropic) -> None:
    tools = [{**_CLIENT_TOOLS[0], "name": f"tool_{number}", "description": "d" * 2_000} for number in range(512)]
    await set_client_tools(cli, tools)
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["tools"], tools)


@contract_check("The client receives the call with the tool name that it defined and the arguments of the model.")
async def a_call_of_a_client_tool_asks_for_permission_with_its_arguments(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await set_client_tools(cli, _CLIENT_TOOLS)
    await cli.process.write(cli.protocol.prompt(user_turn('{{tool alpha {"filter.id": "\uff21", "city": "C"}}}')))
    while not (permission_requests := [frame for frame in await cli.receive() if _is_permission_request(frame)]):
        pass
    require_equal(permission_requests[0]["request"]["input"], {"filter.id": "\uff21", "city": "C"})
    require_equal(len(upstream.chat_requests), 1)


@contract_check("The client runs its tools itself, so the turn must end at a call, without further requests.")
async def a_call_waits_for_permission_and_an_interrupt_ends_its_turn(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await set_client_tools(cli, [{**_CLIENT_TOOLS[0], "name": "weather"}])
    await cli.process.write(cli.protocol.prompt(user_turn('{{tool weather {"city": "C"}}}')))
    while not any(_is_permission_request(frame) for frame in await cli.receive()):
        pass
    require_equal(cli.protocol.state, ProtocolState.REPLYING)
    await cli.send(cli.protocol.interrupt())
    require_equal(len(upstream.chat_requests), 1)


def _is_permission_request(frame: Frame) -> bool:
    return frame["type"] == "control_request" and bool(frame["request"].get("subtype") == "can_use_tool")


def _write_resume_file(directory: Path) -> Path:
    """Write a file with a conversation that a new process can resume, and return the path of the file."""
    turns = [turn for n in range(3) for turn in (user_turn(f"question {n}"), Turn("assistant", (Text(f"answer {n}"),)))]
    path = directory / RESUME_FILE_NAME
    path.write_bytes(build_resume_file(turns, MODEL).content)
    return path


@contract_check("A file loads a very long history in half a second.", write_resume_file=_write_resume_file)
async def a_new_process_resumes_a_conversation_from_a_file(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("now")
    sent = [message_texts(message) for message in last_request_body(upstream)["messages"]]
    require_equal(sent, [*([text] for n in range(3) for text in (f"question {n}", f"answer {n}")), ["now"]])
