"""aider. It uses no tools: the model replies with the content of a file, and aider writes the file."""

from collections.abc import Callable

from tests.clients.client import API_KEY, MODEL, QUESTIONS, ClientRun, Program, Question

# Provider (the prefix of the variables for its URL and key), and the end of its base URL.
_PROVIDERS = {"chat": ("openai", "/v1"), "messages": ("anthropic", ""), "gemini": ("gemini", "/v1beta")}
_WRITE_QUESTION = Question("Write the note. {{say note.txt\n```\nwhat the model wrote\n```\n}}", "what the model wrote")


def aider(dialect: str) -> Callable[[ClientRun], Program]:
    provider, path = _PROVIDERS[dialect]

    def program(run: ClientRun) -> Program:
        # Without this file, aider asks another host for a list of models.
        model_list = run.directory / ".aider" / "caches" / "model_prices_and_context_window.json"
        model_list.parent.mkdir(parents=True)
        model_list.write_text('{"none": {}}')
        writes = run.scenario == "tools"
        question = _WRITE_QUESTION if writes else QUESTIONS[run.scenario]
        mode = ("--edit-format", "whole", "--file", str(run.note_path)) if writes else ("--edit-format", "ask")
        quiet = ("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable")
        streamed = "--stream" if run.scenario == "stream" else "--no-stream"
        flags = ("--model", f"{provider}/{MODEL}", "--yes-always", "--no-git", "--no-pretty", streamed, *mode, *quiet)
        name = provider.upper()
        return Program(
            (str(run.installs.python_path("aider").parent / "aider"), *flags, "--message", question.prompt),
            question,
            {
                f"{name}_API_BASE": run.url + path,
                f"{name}_API_KEY": API_KEY,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            (lambda _: [run.note_path.read_text()]) if writes else _parse_reply,
            prints_whole_reply=True,
        )

    return program


def _parse_reply(output: str) -> list[str]:
    """Return the text between the last line of aider's greeting and its token count."""
    _, _, after = output.partition("Repo-map: disabled\n")
    return [after.partition("\nTokens:")[0]]
