"""Codex CLI. It always streams and prints whole messages. Its tools depend on the name of the model."""

from collections.abc import Callable
from typing import Any

from tests.clients.client import MODEL, ClientRun, Program, Question
from tests.clients.programs.json_lines import parse_json_lines

_PATCH = "*** Begin Patch\\n*** Add File: made.txt\\n+what the model wrote\\n*** End Patch"
_WRITE_QUESTION = Question(f'Write a file. {{{{tool apply_patch {{"input":"{_PATCH}"}}}}}}', "what the model wrote")


def codex(model: str = MODEL) -> Callable[[ClientRun], Program]:
    """Return the program: with a model name of OpenAI it has a tool with raw text as input, otherwise only a shell."""

    def program(run: ClientRun) -> Program:
        codex_home = run.directory / "codex"
        codex_home.mkdir()
        (codex_home / "config.toml").write_text(_render_config(model, run.url))
        patches = run.scenario == "tools" and model != MODEL
        question = _WRITE_QUESTION if patches else run.make_question('exec_command {"cmd":"cat note.txt"}')
        flags = ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        return Program(
            (*run.installs.node_command("@openai/codex/bin/codex.js"), *flags, question.prompt),
            question,
            {"CODEX_HOME": str(codex_home)},
            (lambda _: [(run.directory / "made.txt").read_text()]) if patches else _parse_reply,
            prints_whole_reply=True,
        )

    return program


def _render_config(model: str, url: str) -> str:
    return f"""
model = "{model}"
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"

[features] # otherwise each start asks other hosts for a list of plugins
plugins = false
apps = false

[analytics]
enabled = false
"""


def _parse_reply(output: str) -> list[str]:
    return [line["item"]["text"] for line in parse_json_lines(output) if _is_agent_message(line)][-1:]


def _is_agent_message(line: dict[str, Any]) -> bool:
    return line.get("type") == "item.completed" and line["item"]["type"] == "agent_message"
