"""The libraries: each runs a small script of ours in the environment that has it."""

from collections.abc import Callable

from tests.clients.installs import HERE, NODE
from tests.clients.visit import QUESTIONS, Program, Visit


def script(install: str, name: str, *arguments: str) -> Callable[[Visit], Program]:
    """`name` is a file of `scripts/`, or of `node/` where Node.js runs it."""

    def program(visit: Visit) -> Program:
        question = QUESTIONS[visit.verb]
        if install == NODE:
            run = (str(visit.installs.node), str(visit.installs.node_modules.parent / name))
        else:
            run = (str(visit.installs.python(install)), str(HERE / "scripts" / name))
        return Program((*run, *arguments, visit.verb, question.prompt), question)

    return program
