"""`GET /v1/usage`: what the calling key has used; with the scope `admin`, what each has."""

import asyncio
import time

from aiohttp import web

from claude_gateway.ledger.days import day_of, name_of
from claude_gateway.ledger.usage import as_csv, read_question, shown
from claude_gateway.prompt.conversation import bad
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.slices import send_whole


async def usage(request: web.Request) -> web.StreamResponse:
    caller, ledger, now = request[CALLER], request.app[PARTS].ledger, time.time()
    owner = request.query.get("key") or (None if "admin" in caller.scopes else caller.id)
    if owner != caller.id:
        caller.require("admin")
    format_ = request.query.get("format", "json")
    if format_ not in ("json", "csv"):
        raise bad("format", "must be json or csv")
    asked = read_question(request.query, owner, now)
    report = await ledger.usage(asked, caller.id)
    if format_ == "csv":
        table = await asyncio.to_thread(as_csv, asked, report.rows)
        disposition = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        response = web.Response(body=table.encode(), content_type="text/csv", charset="utf-8", headers=disposition)
        return await send_whole(request, response)
    spent = ledger.spent(caller.id)
    budget = {
        "tokens": caller.budget.tokens,
        "usd": caller.budget.usd,
        "spent_tokens": spent.tokens,
        "spent_usd": round(spent.usd, 6),
        "resets_at": f"{name_of(day_of(now) + 1)}T00:00:00Z",
    }
    answered = await asyncio.to_thread(lambda: json_answer({**shown(asked, report), "budget": budget}))
    return await send_whole(request, answered)
