"""Parse the output of command line clients: lines of JSON among other lines."""

import json
from typing import Any


def parse_json_lines(output: str) -> list[dict[str, Any]]:
    """Return the parsed lines that are JSON objects."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
