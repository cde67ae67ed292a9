"""Clients, their scenarios, and the questions with the expected replies, as frozen data."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.installs import Installs

SCENARIOS = ("chat", "stream", "tools")
MODEL = "claude-sonnet-4-5-20250929"
API_KEY = "a-key-of-the-clients"
NOTE_FILE = "note.txt"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with directives for the fake Anthropic API, and the reply that the client must receive in the end."""

    prompt: str
    expected_reply: str


# A program with built-in tools gets a question about one of those: see `ClientRun.make_question`.
QUESTIONS: Mapping[str, Question] = {
    "chat": Question("Please {{say hello from the fake}}", "hello from the fake"),
    "stream": Question("Count. {{pace 0.02}}{{deltas 8}}", "w0 w1 w2 w3 w4 w5 w6 w7"),
    "tools": Question('How is the weather? {{tool weather {"city":"Oslo"}}}', "it rains in Oslo"),
}


# The fake Anthropic API follows the directive in the note when it receives the note as a tool result.
NOTE_TEXT = "{{say the note was read}}\n"


@dataclass(frozen=True, slots=True)
class ClientRun:
    """One run of a client.

    `directory` holds the note and nothing else, and is removed afterwards. `agent_options` are options of
    `claude_gateway.devtools.fake_anthropic.coding_agent`, which keep a program with built-in tools busy for many turns.
    """

    scenario: str
    url: str
    directory: Path
    installs: Installs
    agent_options: str = ""

    @property
    def note_path(self) -> Path:
        return self.directory / NOTE_FILE

    def make_question(self, tool_call: str) -> Question:
        """Return the question for a program with built-in tools. `tool_call` is the call that reads the note."""
        if self.agent_options:
            turns = dict(option.split("=") for option in self.agent_options.split())["turns"]
            return Question(f"Build the project. {{{{agent {self.agent_options}}}}}", f"All {turns} steps are done.")
        if self.scenario == "tools":
            return Question(f"Read the note. {{{{tool {tool_call}}}}}", "the note was read")
        return QUESTIONS[self.scenario]


def parse_json_pieces(output: str) -> list[str]:
    """Return the pieces of the reply, which a script prints as one line of JSON."""
    return [str(piece) for piece in json.loads(output.splitlines()[-1])]


@dataclass(frozen=True, slots=True)
class Program:
    """A command that runs a client, and the parser of its output.

    Attributes:
        argv: The command.
        question: The question that the command asks.
        env: Environment variables of the program.
        parse_output: Returns the pieces of the reply.
        prints_whole_reply: Whether the program prints streamed replies as a whole.
        allowed_hosts: Other hosts that the program contacts whatever its settings are.
    """

    argv: tuple[str, ...]
    question: Question
    env: Mapping[str, str] = field(default_factory=dict)
    parse_output: Callable[[str], list[str]] = parse_json_pieces
    prints_whole_reply: bool = False
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """A client, one row of the table.

    Attributes:
        name: The name in the table.
        dialect: The dialect that the client uses.
        install_name: The environment in which the client is installed.
        package: The package with the version of the client.
        build_program: Returns the program for a run.
    """

    name: str
    dialect: str
    install_name: str
    package: str
    build_program: Callable[[ClientRun], Program]

    @property
    def id(self) -> str:
        return f"{self.name} {self.dialect}"
