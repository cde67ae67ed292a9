"""The google-genai package, which calls the tool by itself."""

from collections.abc import Iterator

from common import KEY, MODEL, URL, run, weather
from google import genai
from google.genai import types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))


def chat(prompt: str) -> str:
    return client.models.generate_content(model=MODEL, contents=prompt).text or ""


def stream(prompt: str) -> Iterator[str | None]:
    for chunk in client.models.generate_content_stream(model=MODEL, contents=prompt):
        yield chunk.text


def tools(prompt: str) -> str:
    config = types.GenerateContentConfig(tools=[weather])
    return client.models.generate_content(model=MODEL, contents=prompt, config=config).text or ""


run(chat, stream, tools)
