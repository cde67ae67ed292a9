"""Cline's command line."""

import json

from tests.clients.client import API_KEY, MODEL, ClientRun, Program
from tests.clients.programs.json_lines import parse_json_lines


def cline(run: ClientRun) -> Program:
    settings = run.directory / ".cline" / "data" / "settings"
    settings.mkdir(parents=True)
    provider = {"provider": "openai-compatible", "apiKey": API_KEY, "model": MODEL, "baseUrl": f"{run.url}/v1"}
    entry = {"settings": provider, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": "openai-compatible", "providers": {"openai-compatible": entry}}
    (settings / "providers.json").write_text(json.dumps(providers))
    (settings / "global-settings.json").write_text('{"telemetryOptOut":true,"autoUpdateEnabled":false}')
    question = run.make_question(f'read_files {{"files":[{{"path":"{run.note_path}"}}]}}')
    return Program(
        (str(run.installs.node_modules / "@cline" / "cli-linux-x64" / "bin" / "cline"), "--json", question.prompt),
        question,
        # In another mode Cline leaves a daemon behind.
        {"CLINE_SESSION_BACKEND_MODE": "local"},
        _parse_deltas,
        # The host of its feature flags; no setting turns them off.
        allowed_hosts=("data.cline.bot:443",),
    )


def _parse_deltas(output: str) -> list[str]:
    pieces: list[str] = []
    for line in parse_json_lines(output):
        match line.get("event"):
            case {"type": "iteration_start"}:
                pieces.clear()
            case {"type": "content_start", "contentType": "text", "text": str(text)}:
                pieces.append(text)
    return pieces
