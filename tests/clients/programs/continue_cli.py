"""Continue's command line program; its editor extension reads the same configuration file."""

from collections.abc import Callable

from tests.clients.client import API_KEY, MODEL, ClientRun, Program

_PROVIDERS = {"chat": "openai", "messages": "anthropic"}


def continue_cli(dialect: str) -> Callable[[ClientRun], Program]:
    def program(run: ClientRun) -> Program:
        config = run.directory / "config.yaml"
        config.write_text(
            "name: gateway\nversion: 1.0.0\nschema: v1\nmodels:\n"
            f"  - name: gateway\n    provider: {_PROVIDERS[dialect]}\n    model: {MODEL}\n"
            f"    apiBase: {run.url}/v1\n    apiKey: {API_KEY}\n"
        )
        question = run.make_question(f'Read {{"filepath":"{run.note_path}"}}')
        return Program(
            (
                *run.installs.node_command("@continuedev/cli/dist/cn.js"),
                *("-p", "--auto", "--config", str(config), question.prompt),
            ),
            question,
            {"CONTINUE_CLI_ENABLE_TELEMETRY": "0", "CONTINUE_METRICS_ENABLED": "0"},
            lambda output: output.splitlines()[-1:],
            prints_whole_reply=True,
            # The program asks this host for its newest version at each start; no setting turns that off.
            allowed_hosts=("api.continue.dev:443",),
        )

    return program
