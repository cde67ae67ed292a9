"""What there is before the gateway starts: two keys, and a ledger with many lines of the attacker's."""

import time
from pathlib import Path

from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedKey
from claude_gateway.ledger.entry import OK, Entry, Visit
from claude_gateway.stores.db import DATABASE, open_database
from claude_gateway.stores.keys import open_keys
from claude_gateway.stores.ledger import LedgerStore
from workers.events import Usage

_WRITTEN_AT_ONCE = 5_000
_DAYS_SECONDS = 390 * 86_400


async def prepare(state_dir: Path, lines: int, at_once: int) -> tuple[str, str]:
    """The secrets of the attacker, who may have `at_once` jobs at a time, and of the other."""
    path = state_dir / DATABASE
    async with open_database(path) as database, open_keys(database, path) as store:
        keys = Keys(store)
        wanted = WantedKey(name="attacker", scopes=["chat", "tools", "mcp"], concurrent=at_once)
        attacker, attackers_secret = await keys.create(wanted)
        _, others_secret = await keys.create(WantedKey(name="other"))
        ledger = LedgerStore(database)
        for first in range(0, lines, _WRITTEN_AT_ONCE):
            numbers = range(first, min(lines, first + _WRITTEN_AT_ONCE))
            await ledger.write([_line(attacker.key.id, number, lines) for number in numbers])
    return attackers_secret, others_secret


def _line(owner: str, number: int, lines: int) -> Entry:
    begun_at = time.time() - _DAYS_SECONDS * number / lines
    visit = Visit(f"r{number}", "openai_chat", "/v1/chat/completions", owner, "sonnet")
    usage = Usage(input=10, output=10)
    line = Entry(number + 1, owner, visit, 1, tools=False, model="claude-sonnet", begun_at=begun_at, came=0.0)
    line.taken, line.shown, line.ended = 0.1, 0.2, 0.3
    line.attempts, line.used, line.result = 1, usage, OK
    return line
