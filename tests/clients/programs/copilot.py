"""GitHub Copilot's command line with a provider of one's own."""

from collections.abc import Callable

from tests.clients.visit import KEY, MODEL, Program, Visit

_PROVIDERS = {
    "chat": {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_WIRE_API": "completions"},
    "responses": {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_WIRE_API": "responses"},
    "messages": {"COPILOT_PROVIDER_TYPE": "anthropic"},
}


def copilot(dialect: str) -> Callable[[Visit], Program]:
    def program(visit: Visit) -> Program:
        question = visit.question(f'view {{"path":"{visit.note}"}}')
        base = visit.url if dialect == "messages" else f"{visit.url}/v1"
        return Program(
            (
                *visit.installs.node_program("@github/copilot/npm-loader.js"),
                *("--silent", "--allow-all-tools", "--prompt", question.prompt),
            ),
            question,
            {
                "COPILOT_OFFLINE": "true",
                "COPILOT_PROVIDER_BASE_URL": base,
                "COPILOT_PROVIDER_API_KEY": KEY,
                "COPILOT_MODEL": MODEL,
                **_PROVIDERS[dialect],
            },
            lambda output: output.strip().splitlines()[-1:],
            whole=True,
        )

    return program
