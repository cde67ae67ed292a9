"""OpenCode. Besides each conversation, it requests a title for it."""

import json

from tests.clients.client import API_KEY, MODEL, ClientRun, Program
from tests.clients.programs.json_lines import parse_json_lines


def opencode(run: ClientRun) -> Program:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "gateway",
        "options": {"baseURL": f"{run.url}/v1", "apiKey": API_KEY},
        "models": {MODEL: {}},
    }
    settings = {"autoupdate": False, "share": "disabled", "provider": {"gateway": provider}}
    (run.directory / "opencode.json").write_text(json.dumps(settings))
    # With these files OpenCode fetches no packages.
    config_dir = run.directory / ".config" / "opencode"
    (config_dir / "node_modules").mkdir(parents=True)
    (config_dir / "package-lock.json").write_text('{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"0"}}}}')
    question = run.make_question(f'read {{"filePath":"{run.note_path}"}}')
    flags = ("--model", f"gateway/{MODEL}", "--format", "json", "--auto", "--title", "a note")
    return Program(
        # One argument for each word: OpenCode quotes an argument with spaces and escapes the quotes inside it.
        (
            str(run.installs.node_modules / "opencode-linux-x64" / "bin" / "opencode"),
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
        lambda output: [line["part"]["text"] for line in parse_json_lines(output) if line["type"] == "text"][-1:],
        prints_whole_reply=True,
    )
