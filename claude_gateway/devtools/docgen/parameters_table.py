"""Generator of the Markdown tables that show how the gateway supports the parameters of each dialect."""

from claude_gateway.devtools.docgen.markers import GeneratedSection
from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.common.parameters.support import SupportTable
from claude_gateway.dialects.gemini import parameters as gemini
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_responses import parameters as openai_responses

_TABLES: dict[str, SupportTable] = {
    "`POST /v1/chat/completions`": openai_chat.PARAMETERS,
    "`POST /v1/responses`": openai_responses.PARAMETERS,
    "`POST /v1/messages`": anthropic.PARAMETERS,
    "`POST /v1beta/models/{model}:generateContent`": gemini.PARAMETERS,
    "… `generationConfig`": gemini.GENERATION_CONFIG,
    "… `generationConfig.thinkingConfig`": gemini.THINKING_CONFIG,
    "… `toolConfig`": gemini.TOOL_CONFIG,
    "… `toolConfig.functionCallingConfig`": gemini.FUNCTION_CALLING_CONFIG,
    "`anthropic_options` of `POST /v1/chat/completions`": openai_chat.ANTHROPIC_OPTIONS,
}


def render_parameter_tables() -> str:
    """Return Markdown with one section for each kind of JSON object that requests contain.

    Each section contains a table. The table has one row for each parameter in the object.
    """
    return "\n\n".join(f"## {title}\n\n{_render_table(table)}" for title, table in _TABLES.items())


def _render_table(table: SupportTable) -> str:
    rows = [f"| `{name}` | {support} | {note} |" for name, (support, note) in table.items()]
    return "\n".join(["| parameter | support | note |", "|---|---|---|", *rows])


PARAMETERS_SECTION = GeneratedSection("parameters", render_parameter_tables)
