"""Cline's command line."""

import json

from tests.clients.programs.lines import lines
from tests.clients.visit import KEY, MODEL, Program, Visit


def cline(visit: Visit) -> Program:
    settings = visit.folder / ".cline" / "data" / "settings"
    settings.mkdir(parents=True)
    provider = {"provider": "openai-compatible", "apiKey": KEY, "model": MODEL, "baseUrl": f"{visit.url}/v1"}
    entry = {"settings": provider, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": "openai-compatible", "providers": {"openai-compatible": entry}}
    (settings / "providers.json").write_text(json.dumps(providers))
    (settings / "global-settings.json").write_text('{"telemetryOptOut":true,"autoUpdateEnabled":false}')
    question = visit.question(f'read_files {{"files":[{{"path":"{visit.note}"}}]}}')
    return Program(
        (str(visit.installs.node_modules / "@cline" / "cli-linux-x64" / "bin" / "cline"), "--json", question.prompt),
        question,
        # Otherwise it leaves a daemon behind.
        {"CLINE_SESSION_BACKEND_MODE": "local"},
        _deltas,
        # Its feature flags; there is no switch.
        strays=("data.cline.bot:443",),
    )


def _deltas(output: str) -> list[str]:
    pieces: list[str] = []
    for line in lines(output):
        match line.get("event"):
            case {"type": "iteration_start"}:
                pieces.clear()
            case {"type": "content_start", "contentType": "text", "text": str(text)}:
                pieces.append(text)
    return pieces
