"""What a client is asked, and what its program must answer: the vocabulary of this folder. Frozen data."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.installs import Installs

VERBS = ("chat", "stream", "tools")
MODEL = "claude-sonnet-4-5-20250929"
KEY = "a-key-of-the-clients"
NOTE = "note.txt"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with directives to the stand-in, and what it makes the model say in the end."""

    prompt: str
    answer: str


# A program with tools of its own is asked for one of those instead of the last: `Visit.question`.
QUESTIONS: Mapping[str, Question] = {
    "chat": Question("Please {{say hello from the stand-in}}", "hello from the stand-in"),
    "stream": Question("Count. {{pace 0.02}}{{deltas 8}}", "w0 w1 w2 w3 w4 w5 w6 w7"),
    "tools": Question('How is the weather? {{tool weather {"city":"Oslo"}}}', "it rains in Oslo"),
}


# What stands in the note is what the stand-in says once it was read.
NOTED = "{{say the note was read}}\n"


@dataclass(frozen=True, slots=True)
class Visit:
    """One run of a client. `folder` is empty but for the note, and thrown away afterwards.

    `agent` are the options of `claude_gateway.demo.agent`: with them a program with tools of its own works for long.
    """

    verb: str
    url: str
    folder: Path
    installs: Installs
    agent: str = ""

    @property
    def note(self) -> Path:
        return self.folder / NOTE

    def question(self, call: str) -> Question:
        """Of a program with tools of its own; `call` is one of them, reading the note."""
        if self.agent:
            turns = dict(option.split("=") for option in self.agent.split())["turns"]
            return Question(f"Build the project. {{{{agent {self.agent}}}}}", f"All {turns} steps are done.")
        if self.verb == "tools":
            return Question(f"Read the note. {{{{tool {call}}}}}", "the note was read")
        return QUESTIONS[self.verb]


def pieces_in_json(output: str) -> list[str]:
    """What a script prints: the pieces of its answer as one line."""
    return [str(piece) for piece in json.loads(output.splitlines()[-1])]


@dataclass(frozen=True, slots=True)
class Program:
    """How to run a client for a visit, and how to read its answer. `whole` means that it does not show the pieces in
    which an answer came; `strays` are foreign hosts that it asks for whatever one sets."""

    argv: tuple[str, ...]
    question: Question
    environment: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[str], list[str]] = pieces_in_json
    whole: bool = False
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """A row of the table. `install` is where it is installed, `package` what its version is read of."""

    name: str
    dialect: str
    install: str
    package: str
    program: Callable[[Visit], Program]

    @property
    def id(self) -> str:
        return f"{self.name} {self.dialect}"
