"""The home page as text: a template, one table of strings, and what the page is to look like. Pure.

An element of the template says what stands in it: `data-text="key"` its text, `data-label="key"` its `aria-label`,
`data-hint="key"` its `placeholder`, `data-content="key"` the `content` of a meta element. The page's own script reads
the same attributes when the language is switched.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

Strings = Mapping[str, Mapping[str, str]]

LANGUAGES: Final = ("en", "ar")
THEMES: Final = ("light", "dark")
_DIRECTIONS = {"en": "ltr", "ar": "rtl"}
_TEXT = re.compile(r'(data-text="([^"]+)"[^>]*>)')
_ATTRIBUTE = re.compile(r'data-(label|hint|content)="([^"]+)"')
_ATTRIBUTES = {"label": "aria-label", "hint": "placeholder", "content": "content"}
_RANGE = re.compile(r"\s*([a-zA-Z*]+)[^,;]*(?:;\s*q=([0-9.]+))?")


def page(template: str, strings: Strings, language: str) -> str:
    """The template in one of the languages. Raises `KeyError` for a string that is not in the table."""

    def attribute(found: re.Match[str]) -> str:
        return f'{found[0]} {_ATTRIBUTES[found[1]]}="{escape(strings[found[2]][language])}"'

    texts = _TEXT.sub(lambda found: found[1] + escape(strings[found[2]][language], quote=False), template)
    return _ATTRIBUTE.sub(attribute, texts)


def with_root(text: str, language: str, facts: Mapping[str, str]) -> str:
    """The page with its language and direction, and `facts` as `data-` attributes, on its root element."""
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in facts.items())
    return text.replace("<html>", f'<html lang="{language}" dir="{_DIRECTIONS[language]}"{data}>', 1)


def choose_language(asked: str | None, remembered: str | None, accept_language: str) -> str:
    """The one asked for by the address, else the one switched to before, else the first that the browser accepts."""
    for one in (asked, remembered):
        if one in LANGUAGES:
            return one
    ranges = [found for part in accept_language.split(",") if (found := _RANGE.match(part))]
    by_quality = sorted(ranges, key=lambda found: -_quality(found[2]))
    accepted = (found[1].lower() for found in by_quality if _quality(found[2]) > 0)
    return next((one for one in accepted if one in LANGUAGES), LANGUAGES[0])


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
