"""Every operation, in the order of the document. A new resource has a file of its own here, and a line below."""

from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini import parameters as gemini_parameters
from claude_gateway.dialects.gemini import wire as gemini_wire
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses import parameters as openai_responses
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.openapi import (
    admin,
    admin_keys,
    chat,
    gemini,
    health,
    inspection,
    mcp,
    messages,
    models,
    responses,
    sessions,
    tools,
    usage,
)
from claude_gateway.openapi.operation import Operation
from claude_gateway.prompt.parameters import Table

OPERATIONS: tuple[Operation, ...] = (
    *chat.OPERATIONS,
    *responses.OPERATIONS,
    *messages.OPERATIONS,
    *gemini.OPERATIONS,
    *inspection.OPERATIONS,
    *models.OPERATIONS,
    *sessions.OPERATIONS,
    *tools.OPERATIONS,
    *mcp.OPERATIONS,
    *usage.OPERATIONS,
    *admin.OPERATIONS,
    *admin_keys.OPERATIONS,
    *health.OPERATIONS,
)
# What becomes of the parameters of each model, from which parsing is driven too.
TABLES: dict[type, Table] = {
    ChatRequest: openai_chat.PARAMETERS,
    ResponsesRequest: openai_responses.PARAMETERS,
    MessagesRequest: anthropic.PARAMETERS,
    gemini_wire.GenerateContentRequest: gemini_parameters.PARAMETERS,
    gemini_wire.GenerationConfig: gemini_parameters.GENERATION_CONFIG,
    gemini_wire.ThinkingConfig: gemini_parameters.THINKING_CONFIG,
    gemini_wire.ToolConfig: gemini_parameters.TOOL_CONFIG,
    gemini_wire.FunctionCallingConfig: gemini_parameters.FUNCTION_CALLING_CONFIG,
}
