"""aider. It has no tools: the model answers with a file, and aider writes it."""

from collections.abc import Callable

from tests.clients.visit import KEY, MODEL, QUESTIONS, Program, Question, Visit

# Provider, the name before the variables that point it elsewhere, and what its base URL ends with.
_PROVIDERS = {"chat": ("openai", "/v1"), "messages": ("anthropic", ""), "gemini": ("gemini", "/v1beta")}
_WRITTEN = Question("Write the note. {{say note.txt\n```\nwhat the model wrote\n```\n}}", "what the model wrote")


def aider(dialect: str) -> Callable[[Visit], Program]:
    provider, path = _PROVIDERS[dialect]

    def program(visit: Visit) -> Program:
        # It asks a foreign host for a list of models where it has none.
        known = visit.folder / ".aider" / "caches" / "model_prices_and_context_window.json"
        known.parent.mkdir(parents=True)
        known.write_text('{"none": {}}')
        writes = visit.verb == "tools"
        question = _WRITTEN if writes else QUESTIONS[visit.verb]
        mode = ("--edit-format", "whole", "--file", str(visit.note)) if writes else ("--edit-format", "ask")
        quiet = ("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable")
        streamed = "--stream" if visit.verb == "stream" else "--no-stream"
        flags = ("--model", f"{provider}/{MODEL}", "--yes-always", "--no-git", "--no-pretty", streamed, *mode, *quiet)
        name = provider.upper()
        return Program(
            (str(visit.installs.python("aider").parent / "aider"), *flags, "--message", question.prompt),
            question,
            {
                f"{name}_API_BASE": visit.url + path,
                f"{name}_API_KEY": KEY,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            (lambda _: [visit.note.read_text()]) if writes else _says,
            whole=True,
        )

    return program


def _says(output: str) -> list[str]:
    """What stands between the last line of its greeting and its count of tokens."""
    _, _, after = output.partition("Repo-map: disabled\n")
    return [after.partition("\nTokens:")[0]]
