"""Maps each request schema to a table that says how the gateway supports each parameter. Does no I/O."""

from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.common.parameters.support import SupportTable
from claude_gateway.dialects.gemini import parameters as gemini_parameters
from claude_gateway.dialects.gemini import schema as gemini_schema
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.dialects.openai_responses import parameters as openai_responses
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest

# Maps each request schema to a table that says how the gateway supports each parameter. The parsers of requests use
# the same tables.
PARAMETER_TABLES: dict[type, SupportTable] = {
    ChatRequest: openai_chat.PARAMETERS,
    ResponsesRequest: openai_responses.PARAMETERS,
    MessagesRequest: anthropic.PARAMETERS,
    gemini_schema.GenerateContentRequest: gemini_parameters.PARAMETERS,
    gemini_schema.GenerationConfig: gemini_parameters.GENERATION_CONFIG,
    gemini_schema.ThinkingConfig: gemini_parameters.THINKING_CONFIG,
    gemini_schema.ToolConfig: gemini_parameters.TOOL_CONFIG,
    gemini_schema.FunctionCallingConfig: gemini_parameters.FUNCTION_CALLING_CONFIG,
}
