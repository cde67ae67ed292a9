"""What every script here shares: where the gateway is, and one verb run by its name.

A script may import nothing else of ours: it runs in an environment of its own.
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
    """Tell the weather of a city.

    What it returns is what the stand-in will say, so the last answer tells whether the result reached the model.
    """
    return f"{{{{say it rains in {city}}}}}"


def run(chat: Callable[[str], str], stream: Callable[[str], Iterable[str | None]], tools: Callable[[str], str]) -> None:
    """`script VERB PROMPT` prints the answer as a JSON array: of one text, or of the pieces in which it came."""
    verb, prompt = sys.argv[1:]
    match verb:
        case "chat":
            pieces = [chat(prompt)]
        case "stream":
            pieces = [piece for piece in stream(prompt) if piece]
        case "tools":
            pieces = [tools(prompt)]
    print(json.dumps(pieces))
