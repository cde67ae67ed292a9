"""User who continues one chat."""

import time
from dataclasses import dataclass, field

from bench.client import BenchClient
from bench.coding_agent import TurnTimes
from bench.parts import ChatMessages


@dataclass(slots=True)
class ChatUser:
    """A user who continues one chat.

    Attributes:
        name: The name of the user. Each question contains it.
        client: The client with which the user sends questions.
        directives: The directives for the fake Anthropic API in each question.
        messages: The messages of the chat.
        turns: The times of the turns so far.
    """

    name: str
    client: BenchClient
    directives: str = ""
    messages: ChatMessages = field(default_factory=list)
    turns: list[TurnTimes] = field(default_factory=list)

    async def ask(self) -> float:
        """Ask the next question, and return the seconds until the first text of the reply."""
        question = f"question {len(self.messages) // 2} of {self.name}{self.directives}"
        started_at = time.perf_counter()
        sent_at, arrivals = await self.client.send_chat(question, self.messages)
        self.turns.append(TurnTimes(self.name, started_at, time.perf_counter()))
        reply = "".join(text for _, text in arrivals)
        self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
        return arrivals[0][0] - sent_at
