"""`/v1/sessions/{id}/files`: what Claude works on, put in and fetched by the session's own key."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from claude_gateway.sessions.files import Directory
from claude_gateway.web import body
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.readmission import admit_again


async def listed(request: web.Request) -> web.Response:
    async with _directory(request) as directory:
        found = await directory.listed()
    files = [{"path": file.path, "size": file.size, "modified_at": int(file.modified)} for file in found.files]
    return json_answer({"files": files, "total": len(files), "truncated": found.truncated})


async def fetched(request: web.Request) -> web.StreamResponse:
    """Always as a download: what the model wrote must not become a page of this origin."""
    async with _directory(request) as directory:
        file = await directory.open(request.match_info["path"])
    try:
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": "attachment",
                "X-Content-Type-Options": "nosniff",
                "Content-Length": str(file.size),
            }
        )
        await response.prepare(request)
        while piece := await file.read():
            await response.write(piece)
        await response.write_eof()
    finally:
        os.close(file.descriptor)
    return response


async def stored(request: web.Request) -> web.Response:
    content = await body.read_bytes(request)
    async with _directory(request, make=True) as directory:
        new = await directory.write(request.match_info["path"], content)
    return json_answer({"path": request.match_info["path"], "size": len(content)}, status=201 if new else 200)


async def deleted(request: web.Request) -> web.Response:
    async with _directory(request) as directory:
        await directory.delete(request.match_info["path"])
    return json_answer({"message": "File deleted successfully"})


@asynccontextmanager
async def _directory(request: web.Request, *, make: bool = False) -> AsyncIterator[Directory]:
    """Once no job of the session works in it. Raises `ApiError` 404 where there is no such session, unless it is to be
    made."""
    owner, id_ = request[CALLER].id, request.match_info["id"]
    sessions = request.app[PARTS].sessions
    async with sessions.open(owner, id_):
        await admit_again(request)
        if make:
            await sessions.make(owner, id_)
        else:
            await sessions.info(owner, id_)
        yield await request.app[PARTS].files.directory(owner, id_, make=make)
