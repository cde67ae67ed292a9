"""In which dialect a request wants its answer."""

import re

from aiohttp import web

_MESSAGES = re.compile(r"(/v1)?/messages(/.*)?")
_OF_SEVERAL = re.compile(r"(/v1)?/models(/.*)?")


def speaks_anthropic(request: web.Request) -> bool:
    """By its path, or on a path of several dialects by the header that Anthropic's clients always send."""
    if _MESSAGES.fullmatch(request.path):
        return True
    return "anthropic-version" in request.headers and _OF_SEVERAL.fullmatch(request.path) is not None
