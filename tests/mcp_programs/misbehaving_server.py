"""A misbehaving MCP server, started as `misbehaving_server.py FAULT`. Speaks JSON-RPC without a library."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object", "properties": {}}}
_LARGE_SCHEMA: dict[str, Any] = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20)}}
INVALID_TOOLS: list[dict[str, Any]] = [
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


def send(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def make_results(fault: str, message: dict[str, Any]) -> Iterator[Any]:
    match message["method"]:
        case "initialize" if fault != "mute":
            yield {
                "protocolVersion": message["params"]["protocolVersion"] if fault != "of-another-time" else "1999-12-31",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "misbehaving", "version": "1"},
            }
        case "ping":
            yield {}
        case "tools/list" if fault == "no-list":
            yield {"tools": "all of them"}
        case "tools/list" if fault == "pages-without-end":
            cursor = int(message["params"].get("cursor", 0)) if message.get("params") else 0
            yield {"tools": [{**TOOL, "name": f"tool{cursor}"}], "nextCursor": str(cursor + 1)}
        case "tools/list" if fault == "a-thousand":
            yield {"tools": [{**TOOL, "name": f"tool{n}", "inputSchema": _LARGE_SCHEMA} for n in range(1_000)]}
        case "tools/list" if fault == "absurd":
            yield {"tools": INVALID_TOOLS}
        case "tools/list" if fault != "no-answer":
            yield {"tools": [TOOL]}
        case "tools/call" if fault == "flood":
            sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {message["id"]}, "result": {{"content": "')
            for _ in range(1_000):
                sys.stdout.write("x" * 100_000)
            yield {}
        case "tools/call" if fault == "chatter":
            while True:
                sys.stdout.write('{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}\n')
        case "tools/call" if fault == "prowl":
            process = subprocess.run(
                ["sh", "-c", message["params"]["arguments"]["command"]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            yield {"content": [{"type": "text", "text": process.stdout.decode("utf-8", "replace") + "END"}]}
        case "tools/call" if fault == "nonsense":
            yield {"content": {"type": "text"}}
        case "tools/call" if fault == "no-picture":
            yield {"content": [{"type": "image", "data": "!!", "mimeType": "image/png"}, {"type": "text", "text": " "}]}


def main(fault: str) -> None:
    sys.stderr.write("my secret is " + " ".join(sys.argv) + "\n")
    if fault == "banner":
        sys.stdout.write("Welcome!\n[1, 2]\n")
    if fault == "babble":
        while True:
            sys.stdout.write("lorem ipsum " * 20 + "\n")
    if fault == "one-line":
        while True:
            sys.stdout.write("x" * 65_536)
    if fault == "gone":
        sys.exit(7)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            for result in make_results(fault, message):
                send({"jsonrpc": "2.0", "id": message["id"], "result": result})
    if fault == "stays":
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
