"""The list of clients: one row of the table each."""

from tests.clients.client import Client
from tests.clients.installs import CLAUDE_CODE, GATEWAY_ENVIRONMENT, NODE
from tests.clients.programs.aider import aider
from tests.clients.programs.claude_code import claude_code
from tests.clients.programs.cline import cline
from tests.clients.programs.codex import codex
from tests.clients.programs.continue_cli import continue_cli
from tests.clients.programs.copilot import copilot
from tests.clients.programs.gemini_cli import gemini_cli
from tests.clients.programs.opencode import opencode
from tests.clients.programs.scripts import script_program


def _python_client(package: str, dialect: str, script_name: str) -> Client:
    return Client(
        f"{package} (Python)", dialect, GATEWAY_ENVIRONMENT, package, script_program(GATEWAY_ENVIRONMENT, script_name)
    )


def _node_client(package: str, dialect: str, script_name: str) -> Client:
    return Client(f"{package} (npm)", dialect, NODE, package, script_program(NODE, script_name))


def _vercel_client(package: str, dialect: str, provider: str) -> Client:
    return Client(f"Vercel {package}", dialect, NODE, package, script_program(NODE, "vercel_ai.mjs", provider))


def _langchain_client(package: str, dialect: str) -> Client:
    return Client(package, dialect, "langchain", package, script_program("langchain", "langchain_models.py", dialect))


def _llama_index_client(package: str, dialect: str) -> Client:
    return Client(
        package, dialect, "llama_index", package, script_program("llama_index", "llama_index_models.py", dialect)
    )


CLIENTS = (
    _python_client("openai", "chat", "openai_chat.py"),
    _python_client("openai", "responses", "openai_responses.py"),
    _python_client("anthropic", "messages", "anthropic_messages.py"),
    _python_client("google-genai", "gemini", "google_genai.py"),
    _node_client("openai", "chat", "openai_chat.mjs"),
    _node_client("openai", "responses", "openai_responses.mjs"),
    _node_client("@anthropic-ai/sdk", "messages", "anthropic_messages.mjs"),
    _node_client("@google/genai", "gemini", "google_genai.mjs"),
    Client("Claude Code", "messages", GATEWAY_ENVIRONMENT, CLAUDE_CODE, claude_code),
    Client("Codex CLI", "responses", NODE, "@openai/codex", codex()),
    Client("Codex CLI as gpt-5.5", "responses", NODE, "@openai/codex", codex("gpt-5.5")),
    Client("Gemini CLI", "gemini", NODE, "@google/gemini-cli", gemini_cli),
    Client("aider", "chat", "aider", "aider-chat", aider("chat")),
    Client("aider", "messages", "aider", "aider-chat", aider("messages")),
    Client("aider", "gemini", "aider", "aider-chat", aider("gemini")),
    Client("OpenCode", "chat", NODE, "opencode-linux-x64", opencode),
    Client("Cline CLI", "chat", NODE, "@cline/cli-linux-x64", cline),
    Client("Continue CLI", "chat", NODE, "@continuedev/cli", continue_cli("chat")),
    Client("Continue CLI", "messages", NODE, "@continuedev/cli", continue_cli("messages")),
    Client("Copilot CLI", "chat", NODE, "@github/copilot", copilot("chat")),
    Client("Copilot CLI", "responses", NODE, "@github/copilot", copilot("responses")),
    Client("Copilot CLI", "messages", NODE, "@github/copilot", copilot("messages")),
    _vercel_client("@ai-sdk/openai", "chat", "chat"),
    _vercel_client("@ai-sdk/openai", "responses", "responses"),
    _vercel_client("@ai-sdk/openai-compatible", "chat", "compatible"),
    _vercel_client("@ai-sdk/anthropic", "messages", "messages"),
    _vercel_client("@ai-sdk/google", "gemini", "gemini"),
    _langchain_client("langchain-openai", "chat"),
    _langchain_client("langchain-openai", "responses"),
    _langchain_client("langchain-anthropic", "messages"),
    _langchain_client("langchain-google-genai", "gemini"),
    _llama_index_client("llama-index-llms-openai-like", "chat"),
    _llama_index_client("llama-index-llms-openai-like", "responses"),
    Client("Dify provider", "chat", "dify", "dify-plugin", script_program("dify", "dify_provider.py")),
)
