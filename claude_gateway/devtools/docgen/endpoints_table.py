"""Generator of the Markdown tables that list the endpoints. It reads the endpoints from the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from claude_gateway.devtools.docgen.markers import GeneratedSection
from claude_gateway.openapi.document.builder import build_document
from claude_gateway.openapi.document.parameter_tables import PARAMETER_TABLES
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS


def render_endpoint_tables() -> str:
    """Return Markdown with one section for each tag of the OpenAPI document.

    Each section contains a table. The table has one row for each operation with this tag.
    """
    document = build_document(DOCUMENTED_OPERATIONS, PARAMETER_TABLES, version="")
    return "\n\n".join(
        f"## {tag['name']}\n\n{tag['description']}\n\n{_render_table(document, tag['name'])}"
        for tag in document["tags"]
    )


def _render_table(document: dict[str, Any], tag: str) -> str:
    return "\n".join(["| method | path | description |", "|---|---|---|", *_render_rows(document, tag)])


def _render_rows(document: dict[str, Any], tag: str) -> Iterator[str]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield f"| `{method.upper()}` | `{path}` | {operation['summary']} |"


ENDPOINTS_SECTION = GeneratedSection("endpoints", render_endpoint_tables)
