"""Gemini CLI. It always streams."""

import json

from tests.clients.programs.lines import lines
from tests.clients.visit import KEY, MODEL, Program, Visit

_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


def gemini_cli(visit: Visit) -> Program:
    settings = visit.folder / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(_SETTINGS))
    question = visit.question('read_file {"file_path":"note.txt"}')
    flags = ("--model", MODEL, "--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust")
    return Program(
        (
            *visit.installs.node_program("@google/gemini-cli/bundle/gemini.js"),
            *(*flags, "--prompt", question.prompt),
        ),
        question,
        {"GOOGLE_GEMINI_BASE_URL": visit.url, "GEMINI_API_KEY": KEY, "GEMINI_CLI_NO_RELAUNCH": "true"},
        _deltas,
    )


def _deltas(output: str) -> list[str]:
    pieces: list[str] = []
    for line in lines(output):
        match line:
            case {"type": "tool_use"}:
                pieces.clear()
            case {"type": "message", "role": "assistant", "content": str(text)}:
                pieces.append(text)
    return pieces
