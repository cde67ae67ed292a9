"""OpenCode. Beside each conversation it asks for a title."""

import json

from tests.clients.programs.lines import lines
from tests.clients.visit import KEY, MODEL, Program, Visit


def opencode(visit: Visit) -> Program:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "gateway",
        "options": {"baseURL": f"{visit.url}/v1", "apiKey": KEY},
        "models": {MODEL: {}},
    }
    settings = {"autoupdate": False, "share": "disabled", "provider": {"gateway": provider}}
    (visit.folder / "opencode.json").write_text(json.dumps(settings))
    # Where this stands it fetches no packages.
    home = visit.folder / ".config" / "opencode"
    (home / "node_modules").mkdir(parents=True)
    (home / "package-lock.json").write_text('{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"0"}}}}')
    question = visit.question(f'read {{"filePath":"{visit.note}"}}')
    flags = ("--model", f"gateway/{MODEL}", "--format", "json", "--auto", "--title", "a note")
    return Program(
        # Word by word: it puts quotes around an argument with spaces, and escapes those inside.
        (
            str(visit.installs.node_modules / "opencode-linux-x64" / "bin" / "opencode"),
            "run",
            *flags,
            *question.prompt.split(),
        ),
        question,
        {
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_PURE": "1",
        },
        lambda output: [line["part"]["text"] for line in lines(output) if line["type"] == "text"][-1:],
        whole=True,
    )
