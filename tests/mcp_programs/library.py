"""A real MCP server for the tests, by the server side of the package: `library.py stdio`, or `http|sse PORT`."""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp_types import LoggingMessageNotification, LoggingMessageNotificationParams, ToolListChangedNotification

from claude_gateway.cli_facts.pictures import png

BOOKS = {"whale": "Moby-Dick, 1851: a captain hunts a whale.", "moors": "Wuthering Heights, 1847: wild moors."}

server = MCPServer("library")


@server.tool()
def search(query: str) -> str:
    """Searches the library."""
    return "\n".join(text for word, text in BOOKS.items() if word in query.lower()) or "nothing found"


@server.tool()
def cover() -> Image:
    """Shows a cover."""
    return Image(data=png(2, 2), format="png")


@server.tool()
def environment() -> list[str]:
    """Names and values of this program's variables, and the files that it finds at home."""
    return [*(f"{name}={value}" for name, value in os.environ.items()), str(Path.cwd())]


@server.tool()
def large(size: int) -> str:
    """Answers as much as is asked for."""
    return "x" * size


@server.tool()
def broken() -> str:
    """Fails."""
    raise ValueError("the shelf fell over")


@server.tool()
def end() -> str:
    """Ends the whole server in the middle of the call."""
    os._exit(3)


@server.tool()
async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return ""


@server.tool()
async def shout(context: Context) -> str:
    """Says something large, again and again."""
    while True:
        said = LoggingMessageNotificationParams(level="info", data="x" * 900_000)
        await context.session.send_notification(LoggingMessageNotification(params=said))


@server.tool()
async def grow(context: Context) -> str:
    """The server has another tool afterwards."""
    server.add_tool(lambda: "grown", name="later", description="Was not there at first.")
    await context.session.send_notification(ToolListChangedNotification())
    return "grown"


@server.resource("book://whale")
def whale() -> str:
    return BOOKS["whale"]


@server.prompt()
def advise() -> str:
    return "Advise me on a book."


def main() -> None:
    match sys.argv[1:]:
        case ["http", port]:
            server.run("streamable-http", port=int(port))
        case ["sse", port]:
            server.run("sse", port=int(port))
        case _:
            server.run()


if __name__ == "__main__":
    main()
