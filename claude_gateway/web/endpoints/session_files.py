"""Handlers for `/v1/sessions/{id}/files`. Clients use them to upload and download files in a session's workspace."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from claude_gateway.sessions.workspace_files import WorkspaceDirectory
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.request import body
from claude_gateway.web.request.recheck import recheck_key
from claude_gateway.web.responses.json_response import json_response


async def list_files(request: web.Request) -> web.Response:
    """List the files in the workspace of a session."""
    async with _open_directory(request) as directory:
        listing = await directory.list_files()
    files = [
        {"path": file.path, "size_bytes": file.size_bytes, "modified_at": int(file.modified_at)}
        for file in listing.files
    ]
    return json_response({"files": files, "total": len(files), "truncated": listing.is_truncated})


async def download_file(request: web.Request) -> web.StreamResponse:
    """Send a file of a session as a download.

    The response headers prevent the browser from showing the file as a page. Otherwise a file that the model wrote
    could run scripts in the gateway's origin.
    """
    async with _open_directory(request) as directory:
        file = await directory.open(request.match_info["path"])
    try:
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": "attachment",
                "X-Content-Type-Options": "nosniff",
                "Content-Length": str(file.size_bytes),
            }
        )
        await response.prepare(request)
        while chunk := await file.read():
            await response.write(chunk)
        await response.write_eof()
    finally:
        os.close(file.descriptor)
    return response


async def upload_file(request: web.Request) -> web.Response:
    """Store the request body as a file in the workspace of a session. Create the session if it does not exist."""
    content = await body.read_body_bytes(request)
    async with _open_directory(request, create=True) as directory:
        is_new = await directory.write(request.match_info["path"], content)
    return json_response(
        {"path": request.match_info["path"], "size_bytes": len(content)}, status=201 if is_new else 200
    )


async def delete_file(request: web.Request) -> web.Response:
    """Delete a file in the workspace of a session."""
    async with _open_directory(request) as directory:
        await directory.delete(request.match_info["path"])
    return json_response({"message": "File deleted successfully"})


@asynccontextmanager
async def _open_directory(request: web.Request, *, create: bool = False) -> AsyncIterator[WorkspaceDirectory]:
    """Wait until no job uses a session, and open its workspace while a `with` block runs.

    Args:
        request: The request. Its path contains the name of the session.
        create: Whether to create a missing session.

    Raises:
        ApiError: 404 if the session does not exist, 401 or 403 if the key has lost its rights during the wait.
    """
    key_id, id_ = request[API_KEY].id, request.match_info["id"]
    sessions = request.app[STATE].sessions
    async with sessions.open_session(key_id, id_):
        await recheck_key(request)
        if create:
            await sessions.ensure_session(key_id, id_)
        else:
            await sessions.get_session(key_id, id_)
        yield await request.app[STATE].session_files.open_directory(key_id, id_, create=create)
