"""What the signals of a process ask of the gateway in it, beside its end."""

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Signals:
    """`hurry`: what still runs is not waited for. `renew`: settings and keys are to be read again."""

    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    renew: asyncio.Event = field(default_factory=asyncio.Event)
