"""Code that all scripts share: the address of the gateway, a tool, and the choice of a scenario by its name.

A script runs in an environment of its own, so it imports nothing else of this project.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable

URL = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
MODEL = os.environ["GATEWAY_MODEL"]

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(city: str) -> str:
    """Return the weather of a city.

    The fake Anthropic API replies with the text of the tool result, so the last reply shows whether that reached the
    model.
    """
    return f"{{{{say it rains in {city}}}}}"


def run(chat: Callable[[str], str], stream: Callable[[str], Iterable[str | None]], tools: Callable[[str], str]) -> None:
    """Run `script SCENARIO PROMPT`, and print the reply as a JSON array of one text or of the streamed pieces."""
    scenario, prompt = sys.argv[1:]
    match scenario:
        case "chat":
            pieces = [chat(prompt)]
        case "stream":
            pieces = [piece for piece in stream(prompt) if piece]
        case "tools":
            pieces = [tools(prompt)]
    print(json.dumps(pieces))
