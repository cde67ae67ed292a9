"""What command-line clients print: lines of JSON among others."""

import json
from typing import Any


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
