"""The libraries: each runs a small script of this project in the environment that has the library."""

from collections.abc import Callable

from tests.clients.client import QUESTIONS, ClientRun, Program
from tests.clients.installs import CLIENTS_DIR, NODE


def script_program(install_name: str, script_name: str, *arguments: str) -> Callable[[ClientRun], Program]:
    """Return a program for a script: a file of `scripts/`, or of `node/` if Node.js runs it."""

    def program(run: ClientRun) -> Program:
        question = QUESTIONS[run.scenario]
        if install_name == NODE:
            command = (str(run.installs.node_path), str(run.installs.node_modules.parent / script_name))
        else:
            command = (str(run.installs.python_path(install_name)), str(CLIENTS_DIR / "scripts" / script_name))
        return Program((*command, *arguments, run.scenario, question.prompt), question)

    return program
