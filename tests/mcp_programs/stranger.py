"""An MCP server that is none of the good ones: `stranger.py VICE`. It speaks JSON-RPC by hand, for no library lies."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object", "properties": {}}}
_MANY: dict[str, Any] = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20)}}
ABSURD: list[dict[str, Any]] = [
    TOOL,
    {**TOOL, "description": "A second of the name."},
    {**TOOL, "name": ""},
    {**TOOL, "name": "n" * 10_000},
    {**TOOL, "name": "new\nline"},
    {**TOOL, "name": "../../etc/passwd"},
    {**TOOL, "name": "l" * 120},
    {**TOOL, "name": "no_schema", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
    {**TOOL, "name": "talks", "description": "t" * 1_000_000},
]


def say(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def results(vice: str, message: dict[str, Any]) -> Iterator[Any]:
    match message["method"]:
        case "initialize" if vice != "mute":
            yield {
                "protocolVersion": message["params"]["protocolVersion"] if vice != "of-another-time" else "1999-12-31",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "stranger", "version": "1"},
            }
        case "ping":
            yield {}
        case "tools/list" if vice == "no-list":
            yield {"tools": "all of them"}
        case "tools/list" if vice == "pages-without-end":
            cursor = int(message["params"].get("cursor", 0)) if message.get("params") else 0
            yield {"tools": [{**TOOL, "name": f"tool{cursor}"}], "nextCursor": str(cursor + 1)}
        case "tools/list" if vice == "a-thousand":
            yield {"tools": [{**TOOL, "name": f"tool{n}", "inputSchema": _MANY} for n in range(1_000)]}
        case "tools/list" if vice == "absurd":
            yield {"tools": ABSURD}
        case "tools/list" if vice != "no-answer":
            yield {"tools": [TOOL]}
        case "tools/call" if vice == "flood":
            sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {message["id"]}, "result": {{"content": "')
            for _ in range(1_000):
                sys.stdout.write("x" * 100_000)
            yield {}
        case "tools/call" if vice == "chatter":
            while True:
                sys.stdout.write('{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}\n')
        case "tools/call" if vice == "prowl":
            done = subprocess.run(
                ["sh", "-c", message["params"]["arguments"]["command"]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            yield {"content": [{"type": "text", "text": done.stdout.decode("utf-8", "replace") + "END"}]}
        case "tools/call" if vice == "nonsense":
            yield {"content": {"type": "text"}}
        case "tools/call" if vice == "no-picture":
            yield {"content": [{"type": "image", "data": "!!", "mimeType": "image/png"}, {"type": "text", "text": " "}]}


def main(vice: str) -> None:
    sys.stderr.write("my secret is " + " ".join(sys.argv) + "\n")
    if vice == "banner":
        sys.stdout.write("Welcome to the stranger!\n[1, 2]\n")
    if vice == "babble":
        while True:
            sys.stdout.write("lorem ipsum " * 20 + "\n")
    if vice == "one-line":
        while True:
            sys.stdout.write("x" * 65_536)
    if vice == "gone":
        sys.exit(7)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            for result in results(vice, message):
                say({"jsonrpc": "2.0", "id": message["id"], "result": result})
    if vice == "stays":
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
