"""Continue's command line; its editor extension reads the same file."""

from collections.abc import Callable

from tests.clients.visit import KEY, MODEL, Program, Visit

_PROVIDERS = {"chat": "openai", "messages": "anthropic"}


def continue_cli(dialect: str) -> Callable[[Visit], Program]:
    def program(visit: Visit) -> Program:
        config = visit.folder / "config.yaml"
        config.write_text(
            "name: gateway\nversion: 1.0.0\nschema: v1\nmodels:\n"
            f"  - name: gateway\n    provider: {_PROVIDERS[dialect]}\n    model: {MODEL}\n"
            f"    apiBase: {visit.url}/v1\n    apiKey: {KEY}\n"
        )
        question = visit.question(f'Read {{"filepath":"{visit.note}"}}')
        return Program(
            (
                *visit.installs.node_program("@continuedev/cli/dist/cn.js"),
                *("-p", "--auto", "--config", str(config), question.prompt),
            ),
            question,
            {"CONTINUE_CLI_ENABLE_TELEMETRY": "0", "CONTINUE_METRICS_ENABLED": "0"},
            lambda output: output.splitlines()[-1:],
            whole=True,
            # Its newest version, at each start; there is no switch.
            strays=("api.continue.dev:443",),
        )

    return program
