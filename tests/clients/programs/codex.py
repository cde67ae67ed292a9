"""Codex CLI. It always streams, and shows whole messages. Which tools it has depends on the name of its model."""

from collections.abc import Callable
from typing import Any

from tests.clients.programs.lines import lines
from tests.clients.visit import MODEL, Program, Question, Visit

_PATCH = "*** Begin Patch\\n*** Add File: made.txt\\n+what the model wrote\\n*** End Patch"
_WRITTEN = Question(f'Write a file. {{{{tool apply_patch {{"input":"{_PATCH}"}}}}}}', "what the model wrote")


def codex(model: str = MODEL) -> Callable[[Visit], Program]:
    """By a name of OpenAI's it has a tool whose input is raw text; by any other it has a shell alone."""

    def program(visit: Visit) -> Program:
        home = visit.folder / "codex"
        home.mkdir()
        (home / "config.toml").write_text(_config(model, visit.url))
        patches = visit.verb == "tools" and model != MODEL
        question = _WRITTEN if patches else visit.question('exec_command {"cmd":"cat note.txt"}')
        flags = ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        return Program(
            (*visit.installs.node_program("@openai/codex/bin/codex.js"), *flags, question.prompt),
            question,
            {"CODEX_HOME": str(home)},
            (lambda _: [(visit.folder / "made.txt").read_text()]) if patches else _says,
            whole=True,
        )

    return program


def _config(model: str, url: str) -> str:
    return f"""
model = "{model}"
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"

[features] # otherwise each start asks foreign hosts for a list of plugins
plugins = false
apps = false

[analytics]
enabled = false
"""


def _says(output: str) -> list[str]:
    return [line["item"]["text"] for line in lines(output) if _is_message(line)][-1:]


def _is_message(line: dict[str, Any]) -> bool:
    return line.get("type") == "item.completed" and line["item"]["type"] == "agent_message"
