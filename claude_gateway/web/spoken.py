"""In which dialect a request wants its answer, told by its path and headers before anything of it is read."""

import re
from enum import Enum

from aiohttp import web

_MESSAGES = re.compile(r"(/v1){0,2}/messages(/.*)?")
_GEMINI = re.compile(r"/v1beta(/.*)?|(/v1){0,2}/(models|tunedModels)/.*:[A-Za-z]+", re.DOTALL)
_OF_SEVERAL = re.compile(r"(/v1){0,2}/models(/.*)?", re.DOTALL)
_RESPONSES = re.compile(r"(/v1)*/responses(/.*)?", re.DOTALL)
_CHAT = re.compile(r"(/v1)*/chat/completions")
# What Google's own programs send, whatever the path.
_GOOGLE_HEADERS = ("x-goog-api-key", "x-goog-api-client")


class Dialect(Enum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


def spoken(request: web.Request) -> Dialect:
    """By its path, or on a path of several dialects by the headers that each one's clients always send. OpenAI's where
    nothing speaks for another: its envelope is the general one."""
    path, headers = request.path, request.headers
    if (dialect := spoken_at(path)) is not Dialect.OPENAI:
        return dialect
    if _OF_SEVERAL.fullmatch(path):
        if "key" in request.query or any(name in headers for name in _GOOGLE_HEADERS):
            return Dialect.GEMINI
        if "anthropic-version" in headers:
            return Dialect.ANTHROPIC
    return Dialect.OPENAI


def spoken_at(path: str) -> Dialect:
    """By its path alone, where nothing else of the request can be read."""
    if _GEMINI.fullmatch(path):
        return Dialect.GEMINI
    return Dialect.ANTHROPIC if _MESSAGES.fullmatch(path) else Dialect.OPENAI


def dialect_name(request: web.Request) -> str:
    """For ledger and metrics, which tell OpenAI's two apart; "" for what is of no dialect."""
    if _CHAT.fullmatch(request.path):
        return "openai_chat"
    if _RESPONSES.fullmatch(request.path):
        return "openai_responses"
    dialect = spoken(request)
    return "" if dialect is Dialect.OPENAI else dialect.value
