"""The tables of parameters, generated from those of the dialects, as Markdown."""

from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.gemini import parameters as gemini
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_responses import parameters as openai_responses
from claude_gateway.documents.generated import Part
from claude_gateway.prompt.parameters import Table

_TABLES: dict[str, Table] = {
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


def tables() -> str:
    """One section an object that is sent, one row a parameter."""
    return "\n\n".join(f"## {where}\n\n{_table(table)}" for where, table in _TABLES.items())


def _table(table: Table) -> str:
    rows = [f"| `{name}` | {treatment} | {how} |" for name, (treatment, how) in table.items()]
    return "\n".join(["| parameter | | how, or why not |", "|---|---|---|", *rows])


PARAMETERS = Part("parameters", tables)
