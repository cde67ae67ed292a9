"""Gemini CLI. It always streams."""

import json

from tests.clients.client import API_KEY, MODEL, ClientRun, Program
from tests.clients.programs.json_lines import parse_json_lines

_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


def gemini_cli(run: ClientRun) -> Program:
    settings = run.directory / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(_SETTINGS))
    question = run.make_question('read_file {"file_path":"note.txt"}')
    flags = ("--model", MODEL, "--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust")
    return Program(
        (
            *run.installs.node_command("@google/gemini-cli/bundle/gemini.js"),
            *(*flags, "--prompt", question.prompt),
        ),
        question,
        {"GOOGLE_GEMINI_BASE_URL": run.url, "GEMINI_API_KEY": API_KEY, "GEMINI_CLI_NO_RELAUNCH": "true"},
        _parse_deltas,
    )


def _parse_deltas(output: str) -> list[str]:
    pieces: list[str] = []
    for line in parse_json_lines(output):
        match line:
            case {"type": "tool_use"}:
                pieces.clear()
            case {"type": "message", "role": "assistant", "content": str(text)}:
                pieces.append(text)
    return pieces
