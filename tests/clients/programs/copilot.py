"""GitHub Copilot's command line program with a custom provider."""

from collections.abc import Callable

from tests.clients.client import API_KEY, MODEL, ClientRun, Program

_PROVIDERS = {
    "chat": {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_WIRE_API": "completions"},
    "responses": {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_WIRE_API": "responses"},
    "messages": {"COPILOT_PROVIDER_TYPE": "anthropic"},
}


def copilot(dialect: str) -> Callable[[ClientRun], Program]:
    def program(run: ClientRun) -> Program:
        question = run.make_question(f'view {{"path":"{run.note_path}"}}')
        base = run.url if dialect == "messages" else f"{run.url}/v1"
        return Program(
            (
                *run.installs.node_command("@github/copilot/npm-loader.js"),
                *("--silent", "--allow-all-tools", "--prompt", question.prompt),
            ),
            question,
            {
                "COPILOT_OFFLINE": "true",
                "COPILOT_PROVIDER_BASE_URL": base,
                "COPILOT_PROVIDER_API_KEY": API_KEY,
                "COPILOT_MODEL": MODEL,
                **_PROVIDERS[dialect],
            },
            lambda output: output.strip().splitlines()[-1:],
            prints_whole_reply=True,
        )

    return program
