"""Handler for `GET /v1/usage`. It reports the usage of the key. A key with the scope `admin` can see all keys."""

import asyncio
import time

from aiohttp import web

from claude_gateway.core.errors import bad_request
from claude_gateway.usage.days import day_number, format_day
from claude_gateway.usage.report import parse_usage_query, usage_to_csv, usage_to_json
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.responses.json_response import json_response
from claude_gateway.web.streaming.chunked_body import send_if_large


async def get_usage(request: web.Request) -> web.StreamResponse:
    """Return the usage report as JSON or CSV. The JSON form also contains the daily budget of the key."""
    key, usage_recorder, now = request[API_KEY], request.app[STATE].usage_recorder, time.time()
    requested_key_id = request.query.get("key") or (None if "admin" in key.scopes else key.id)
    if requested_key_id != key.id:
        key.require_scope("admin")
    format_ = request.query.get("format", "json")
    if format_ not in ("json", "csv"):
        raise bad_request("format", "must be json or csv")
    query = parse_usage_query(request.query, requested_key_id, now)
    report = await usage_recorder.read_report(query, key.id)
    if format_ == "csv":
        table = await asyncio.to_thread(usage_to_csv, query, report.rows)
        disposition = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        response = web.Response(body=table.encode(), content_type="text/csv", charset="utf-8", headers=disposition)
        return await send_if_large(request, response)
    spent = usage_recorder.get_spend_today(key.id)
    budget = {
        "tokens": key.budget.tokens_per_day,
        "usd": key.budget.usd_per_day,
        "spent_tokens": spent.tokens,
        "spent_usd": round(spent.usd, 6),
        "resets_at": f"{format_day(day_number(now) + 1)}T00:00:00Z",
    }
    json_report = await asyncio.to_thread(lambda: json_response({**usage_to_json(query, report), "budget": budget}))
    return await send_if_large(request, json_report)
