"""Functions that render the home page from a template and a table of strings. No I/O.

Elements of the template name their strings in attributes: `data-text="key"` for the text, `data-label="key"` for the
`aria-label`, `data-hint="key"` for the `placeholder`, and `data-content="key"` for the `content` of a meta element. The
script of the page reads the same attributes when the reader switches the language.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

Strings = Mapping[str, Mapping[str, str]]

LANGUAGES: Final = ("en", "ar")
THEMES: Final = ("light", "dark")
_DIRECTIONS = {"en": "ltr", "ar": "rtl"}
_TEXT_ELEMENT = re.compile(r'(data-text="([^"]+)"[^>]*>)')
_ATTRIBUTE = re.compile(r'data-(label|hint|content)="([^"]+)"')
_ATTRIBUTES = {"label": "aria-label", "hint": "placeholder", "content": "content"}
_LANGUAGE_RANGE = re.compile(r"\s*([a-zA-Z*]+)[^,;]*(?:;\s*q=([0-9.]+))?")


def render_page(template: str, strings: Strings, language: str) -> str:
    """Render the template with the strings in one language, and return the page.

    Raises:
        KeyError: The template contains a key that the table of strings lacks.
    """

    def add_attribute(match: re.Match[str]) -> str:
        return f'{match[0]} {_ATTRIBUTES[match[1]]}="{escape(strings[match[2]][language])}"'

    with_texts = _TEXT_ELEMENT.sub(lambda match: match[1] + escape(strings[match[2]][language], quote=False), template)
    return _ATTRIBUTE.sub(add_attribute, with_texts)


def add_root_attributes(page: str, language: str, data_attributes: Mapping[str, str]) -> str:
    """Return the page with a language, a text direction and `data-` attributes on its root element."""
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in data_attributes.items())
    return page.replace("<html>", f'<html lang="{language}" dir="{_DIRECTIONS[language]}"{data}>', 1)


def choose_language(requested: str | None, saved: str | None, accept_language: str) -> str:
    """Choose the language of the home page.

    The language in the URL has priority, then the language that the reader chose on an earlier visit, then the best
    language that the browser accepts.
    """
    for language in (requested, saved):
        if language in LANGUAGES:
            return language
    ranges = [match for part in accept_language.split(",") if (match := _LANGUAGE_RANGE.match(part))]
    by_quality = sorted(ranges, key=lambda match: -_parse_quality(match[2]))
    accepted = (match[1].lower() for match in by_quality if _parse_quality(match[2]) > 0)
    return next((language for language in accepted if language in LANGUAGES), LANGUAGES[0])


def _parse_quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
