"""A real MCP server for the tests, built with the `mcp` package.

Run `library.py stdio` or `library.py http|sse PORT`.
"""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp_types import LoggingMessageNotification, LoggingMessageNotificationParams, ToolListChangedNotification

from claude_gateway.devtools.cli_contract.sample_media import make_png

BOOKS = {"whale": "Moby-Dick, 1851: a captain hunts a whale.", "moors": "Wuthering Heights, 1847: wild moors."}

server = MCPServer("library")


@server.tool()
def search(query: str) -> str:
    """Search the library."""
    return "\n".join(text for word, text in BOOKS.items() if word in query.lower()) or "nothing found"


@server.tool()
def cover() -> Image:
    """Return the image of a cover."""
    return Image(data=make_png(2, 2), format="png")


@server.tool()
def environment() -> list[str]:
    """Return the environment variables of the server, and its working directory."""
    return [*(f"{name}={value}" for name, value in os.environ.items()), str(Path.cwd())]


@server.tool()
def large(size: int) -> str:
    """Return a text of the requested size."""
    return "x" * size


@server.tool()
def broken() -> str:
    """Raise an error."""
    raise ValueError("the shelf fell over")


@server.tool()
def end() -> str:
    """Exit the server during the call."""
    os._exit(3)


@server.tool()
async def hang() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


@server.tool()
async def shout(context: Context) -> str:
    """Send large notifications in an endless loop."""
    while True:
        params = LoggingMessageNotificationParams(level="info", data="x" * 900_000)
        await context.session.send_notification(LoggingMessageNotification(params=params))


@server.tool()
async def grow(context: Context) -> str:
    """Add another tool to the server."""
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
