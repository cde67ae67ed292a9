"""Preparation of the database: two API keys, and many usage records of the attacker's key."""

import time
from pathlib import Path

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import open_key_store
from claude_gateway.auth.schemas import CreateKeyRequest
from claude_gateway.storage.database import DATABASE_FILE_NAME, open_database
from claude_gateway.usage.record import OK, RequestContext, UsageRecord
from claude_gateway.usage.record_store import UsageStore
from workers.core.events import TokenUsage

_BATCH_SIZE = 5_000
_PERIOD_SECONDS = 390 * 86_400


async def prepare_database(state_dir: Path, record_count: int, max_concurrent_jobs: int) -> tuple[str, str]:
    """Create the keys and the usage records.

    Args:
        state_dir: The state directory of the gateway.
        record_count: Number of usage records of the attacker's key.
        max_concurrent_jobs: Limit of the attacker's key.

    Returns:
        The secrets of the attacker's key and of the victim's key.
    """
    path = state_dir / DATABASE_FILE_NAME
    async with open_database(path) as database, open_key_store(database, path) as store:
        keys = KeyService(store)
        request = CreateKeyRequest(
            name="attacker", scopes=["chat", "tools", "mcp"], max_concurrent_jobs=max_concurrent_jobs
        )
        attacker, attacker_secret = await keys.create_key(request)
        _, victim_secret = await keys.create_key(CreateKeyRequest(name="victim"))
        usage_store = UsageStore(database)
        for start in range(0, record_count, _BATCH_SIZE):
            numbers = range(start, min(record_count, start + _BATCH_SIZE))
            await usage_store.write([_make_usage_record(attacker.key.id, number, record_count) for number in numbers])
    return attacker_secret, victim_secret


def _make_usage_record(key_id: str, number: int, record_count: int) -> UsageRecord:
    created_at = time.time() - _PERIOD_SECONDS * number / record_count
    request_context = RequestContext(f"r{number}", "openai_chat", "/v1/chat/completions", key_id, "sonnet")
    usage = TokenUsage(input_tokens=10, output_tokens=10)
    record = UsageRecord(
        number + 1,
        key_id,
        request_context,
        1,
        has_tools=False,
        model="claude-sonnet",
        created_at=created_at,
        created_monotonic=0.0,
    )
    record.started_monotonic, record.first_output_monotonic, record.ended_monotonic = 0.1, 0.2, 0.3
    record.attempt_count, record.attempt_usage, record.result = 1, usage, OK
    return record
