"""Tests for the administration of API keys over HTTP and by the command `claude-gateway keys`."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.auth.key_store import KeyStore, open_key_store
from claude_gateway.storage.database import DATABASE_FILE_NAME, open_database
from tests.claude_gateway.manual_timer import ManualTimer
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve

ADMIN_HEADERS = {"authorization": "Bearer the-admin-key"}
API_KEY = SecretStr("the-admin-key")
CHAT_PATH = "/v1/chat/completions"


def bearer(key: dict[str, Any] | str) -> dict[str, str]:
    return {"authorization": f"Bearer {key if isinstance(key, str) else key['key']}"}


async def create_key(client: Client, **settings: Any) -> dict[str, Any]:
    """Create a key and return the response."""
    response = await client.post("/v1/admin/keys", json={"name": "one", **settings}, headers=ADMIN_HEADERS)
    assert response.status == 201, await response.text()
    created: dict[str, Any] = await response.json()
    return created


async def status(client: Client, key: dict[str, Any] | str, method: str = "GET", path: str = "/v1/auth/status") -> int:
    """Return the status of a request with this key."""
    body = CHAT_BODY if method == "POST" else None
    return (await client.request(method, path, headers=bearer(key), json=body)).status


async def command(state_dir: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `claude-gateway keys …` in another process, and return its exit code, output and error output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli.main", "keys", *arguments),
        env={"STATE_DIR": str(state_dir), "PATH": os.environ["PATH"]},
        cwd=Path(__file__).parents[4],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error_output = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), error_output.decode()


@pytest.mark.promise("keys.shown-once")
async def test_shows_secret_once_and_neither_stores_nor_logs_it(
    serve: Serve, keys: KeyStore, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await serve(keys=keys, api_key=API_KEY)

    response = await client.post(
        "/v1/admin/keys", json={"name": "one", "scopes": ["chat", "admin"]}, headers=ADMIN_HEADERS
    )
    created = await response.json()

    assert response.headers["cache-control"] == "no-store"
    assert await status(client, created) == 200
    listed = await (await client.get("/v1/admin/keys", headers=bearer(created))).text()
    assert created["id"] in listed
    secret = created["key"].rpartition("_")[2]
    assert secret not in listed + caplog.text
    for file in await asyncio.to_thread(lambda: [path.read_bytes() for path in state_dir.iterdir()]):
        assert secret.encode() not in file
        assert bytes.fromhex(secret) not in file


async def test_returns_key_with_all_its_permissions(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    settings = {
        "name": "a laptop",
        "scopes": ["tools", "chat"],
        "models": ["opus", "claude-haiku-*"],
        "expires_in_days": 1,
        "requests_per_minute": {"chat": 60},
        "max_concurrent_jobs": 3,
        "budget": {"tokens_per_day": 1_000_000, "usd_per_day": 2.5},
        "group": "family",
        "login": "account",
    }

    created = await create_key(client, **settings)
    (listed,) = (await (await client.get("/v1/admin/keys", headers=ADMIN_HEADERS)).json())["keys"]

    assert listed == {name: value for name, value in created.items() if name != "key"}
    assert {name: listed[name] for name in settings if name in listed} == {
        name: value for name, value in settings.items() if name != "expires_in_days"
    } | {"scopes": ["chat", "tools"]}
    assert listed["expires_at"] == listed["created_at"] + 86_400
    assert (listed["status"], listed["revoked_at"]) == ("active", None)
    (stored,) = (await keys.load_active_keys())[1]
    assert (stored.key.budget.tokens_per_day, stored.key.budget.usd_per_day, stored.key.limits.max_concurrent_jobs) == (
        1_000_000,
        2.5,
        3,
    )


async def test_new_key_can_only_chat_by_default(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    assert (await create_key(client))["scopes"] == ["chat"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "x" * 101},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scope": ["chat"]},
        {"name": "x", "requests_per_minute": {"chats": 1}},
        {"name": "x", "requests_per_minute": {"chat": 0}},
        {"name": "x", "max_concurrent_jobs": 0},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "budget": {"usd": 1}},
        {"name": "x", "budget": {"tokens_per_day": -1}},
        {"name": "x", "models": ["with space"]},
        {"name": "x", "max_concurrent_jobs": "5"},
        {"name": "x", "max_concurrent_jobs": True},
        {"name": "x", "requests_per_minute": {"chat": "9" * 30}},
        {"name": "x", "budget": {"tokens_per_day": 1e30}},
        {"name": "x", "budget": {"usd_per_day": True}},
        {"name": "x", "group": ""},
        {"name": "x", "group": "two words"},
        {"name": "x", "group": "x" * 65},
        {"name": "x", "group": "a\n"},
        {"name": "x", "group": "فريق"},
        {"name": "x", "group": 5},
        {"name": "x", "groups": "family"},
        {"name": "x", "login": ""},
        {"name": "x", "login": "two words"},
        {"name": "x", "login": "x" * 41},
    ],
    ids=str,
)
async def test_rejects_invalid_key_request(serve: Serve, keys: KeyStore, body: Any) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    assert (await client.post("/v1/admin/keys", json=body, headers=ADMIN_HEADERS)).status == 422
    assert await keys.list_keys() == []


async def update_key(client: Client, key_id: str, changes: Any) -> tuple[int, dict[str, Any]]:
    """Send a change of a key and return the status and the body of the response."""
    response = await client.post(f"/v1/admin/keys/{key_id}", json=changes, headers=ADMIN_HEADERS)
    return response.status, await response.json()


async def test_changes_the_named_fields_of_a_key_and_keeps_the_others(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    created = await create_key(client, requests_per_minute={"session": 7}, max_concurrent_jobs=3, group="family")
    expected = {name: value for name, value in created.items() if name != "key"}

    for changes, new_fields in (
        ({}, {}),
        ({"group": "team"}, {"group": "team"}),
        ({"requests_per_minute": {"chat": 5}}, {"requests_per_minute": {"session": 7, "chat": 5}}),
        ({"max_concurrent_jobs": 4}, {"max_concurrent_jobs": 4}),
        ({"max_concurrent_jobs": None}, {"max_concurrent_jobs": None}),
        ({"group": None}, {"group": None}),
        ({"login": "account"}, {"login": "account"}),
        ({"login": None}, {"login": None}),
    ):
        expected |= new_fields
        assert await update_key(client, created["id"], changes) == (200, expected)
    (listed,) = (await (await client.get("/v1/admin/keys", headers=ADMIN_HEADERS)).json())["keys"]
    assert listed == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"group": ""},
        {"group": "two words"},
        {"group": ["family"]},
        {"groups": "family"},
        {"name": "other"},
        {"scopes": ["admin"]},
        {"max_concurrent_jobs": 0},
        {"max_concurrent_jobs": "5"},
        {"requests_per_minute": None},
        {"requests_per_minute": {"chat": None}},
    ],
    ids=str,
)
async def test_rejects_invalid_change_of_a_key(serve: Serve, keys: KeyStore, changes: Any) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    created = await create_key(client, group="family")
    before = await keys.list_keys()

    assert (await update_key(client, created["id"], changes))[0] == 422
    assert await keys.list_keys() == before


async def test_rejects_change_of_an_unknown_or_revoked_key(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    created = await create_key(client)
    await client.delete(f"/v1/admin/keys/{created['id']}", headers=ADMIN_HEADERS)

    for key_id in (created["id"], "0" * 12, "environment"):
        status_code, error = await update_key(client, key_id, {"group": "family"})
        assert (status_code, error["error"]["code"]) == (404, "key_not_found")


async def test_key_keeps_its_group_when_it_is_rotated(serve: Serve, keys: KeyStore) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY)
    created = await create_key(client, group="family")
    renewed = await (await client.post(f"/v1/admin/keys/{created['id']}/rotate", headers=ADMIN_HEADERS)).json()

    assert await status(client, renewed, "POST", CHAT_PATH) == 200
    assert [(job.key_id, job.group) for job in worker_source.jobs] == [(created["id"], "family")]


@pytest.mark.promise("keys.revoked-at-once")
async def test_revoked_key_is_rejected_on_an_open_connection_too(serve: Serve, keys: KeyStore) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    created, other = await create_key(client), await create_key(client)
    assert await status(client, created, "POST", CHAT_PATH) == 200

    assert (await client.delete(f"/v1/admin/keys/{created['id']}", headers=ADMIN_HEADERS)).status == 200

    assert await status(client, created, "POST", CHAT_PATH) == 401
    assert await status(client, other, "POST", CHAT_PATH) == 200
    assert [job.key_id for job in dispatcher.jobs] == [created["id"], other["id"]]
    assert (await client.delete(f"/v1/admin/keys/{created['id']}", headers=ADMIN_HEADERS)).status == 404


async def test_running_reply_continues_when_its_key_is_revoked(serve: Serve, keys: KeyStore) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedWorkerSource([(*HELLO_EVENTS[:3], more, *HELLO_EVENTS[3:])])
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    created = await create_key(client)

    async with client.post(CHAT_PATH, json=STREAM_BODY, headers=bearer(created)) as response:
        await client.delete(f"/v1/admin/keys/{created['id']}", headers=ADMIN_HEADERS)
        more.set()
        assert (await response.text()).rstrip().endswith("[DONE]")


async def test_rotated_key_has_the_same_id_and_another_secret(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    created = await create_key(client, scopes=["chat", "mcp"], models=["opus"])

    response = await client.post(f"/v1/admin/keys/{created['id']}/rotate", headers=ADMIN_HEADERS)
    renewed = await response.json()

    assert renewed["key"] != created["key"]
    assert {**renewed, "key": ""} == {**created, "key": ""}
    assert response.headers["cache-control"] == "no-store"
    assert (await status(client, created), await status(client, renewed)) == (401, 200)


async def test_key_expires(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    created = await create_key(client, expires_in_days=1e-9)

    response = await client.get("/v1/auth/status", headers=bearer(created))

    assert response.status == 401
    assert (await response.json())["error"]["code"] == "expired_api_key"
    (listed,) = (await (await client.get("/v1/admin/keys", headers=ADMIN_HEADERS)).json())["keys"]
    assert listed["status"] == "expired"


async def test_rejects_id_of_one_key_with_secret_of_another(serve: Serve, keys: KeyStore) -> None:
    from claude_gateway.auth.key_format import new_secret

    client = await serve(keys=keys, api_key=API_KEY)
    created, other = await create_key(client), await create_key(client)
    mixed = created["key"].replace(created["id"], other["id"])

    for wrong_key in (mixed, new_secret(created["id"]), created["key"][:-1], created["key"] + "0", created["id"]):
        assert await status(client, wrong_key) == 401


@pytest.mark.promise("keys.none-local-only")
async def test_local_client_needs_a_key_once_keys_were_created_even_if_all_are_revoked(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    client = await serve(keys=keys)
    assert (await client.get("/v1/models")).status == 200

    code, secret, _ = await command(state_dir, "create", "--name", "first")
    assert code == 0
    assert (await client.get("/v1/models")).status == 401
    assert await status(client, secret.strip()) == 200
    info = await (await client.get("/v1/auth/status", headers=bearer(secret.strip()))).json()
    assert info["server_info"]["api_key_required"] is True
    assert info["server_info"]["api_key_source"] == "database"
    assert info["current_key"]["name"] == "first"

    await command(state_dir, "revoke", info["current_key"]["key_id"])
    assert (await client.get("/v1/models")).status == 401


@pytest.mark.promise("keys.revoked-at-once")
async def test_command_works_beside_a_running_gateway_with_immediate_effect(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    code, output, error_output = await command(
        *(state_dir, "create", "--name", "a laptop", "--scope", "chat", "--scope", "tools", "--model", "opus"),
        *(
            "--requests-per-minute",
            "chat=60",
            "--max-concurrent-jobs",
            "2",
            "--tokens-per-day",
            "1000",
            "--expires-in-days",
            "30",
        ),
    )
    secret = output.strip()
    assert (code, secret[:4]) == (0, "cgw_")
    assert secret not in error_output
    assert await status(client, secret) == 200
    (stored,) = (await keys.load_active_keys())[1]
    assert (stored.key.name, stored.key.scopes, stored.key.models) == ("a laptop", {"chat", "tools"}, ("opus",))
    assert (
        stored.key.limits.requests_per_minute,
        stored.key.limits.max_concurrent_jobs,
        stored.key.budget.tokens_per_day,
    ) == (
        {"chat": 60},
        2,
        1000,
    )

    code, listed, _ = await command(state_dir, "list")
    assert stored.key.id in listed
    assert "a laptop" in listed
    assert secret not in listed

    code, renewed, _ = await command(state_dir, "rotate", stored.key.id)
    assert (await status(client, secret), await status(client, renewed.strip())) == (401, 200)

    code, _, _ = await command(state_dir, "revoke", stored.key.id)
    assert await status(client, renewed.strip()) == 401
    code, _, error_output = await command(state_dir, "revoke", stored.key.id)
    assert (code, error_output) == (1, "claude-gateway: There is no such key, or it was revoked.\n")


async def test_revokes_key_even_if_the_change_file_was_deleted(serve: Serve, state_dir: Path) -> None:
    path = state_dir / DATABASE_FILE_NAME
    timer = ManualTimer()
    async with open_database(path) as database, open_key_store(database, path, timer.sleep) as store:
        client = await serve(keys=store, api_key=API_KEY)
        _, secret, _ = await command(state_dir, "create", "--name", "a laptop")
        assert await status(client, secret.strip()) == 200
        ((stored,),) = (await store.load_active_keys())[1:]

        path.with_suffix(".changes").unlink()
        code, _, _ = await command(state_dir, "revoke", stored.key.id)

        assert code == 0
        await timer.tick()
        assert await status(client, secret.strip()) == 401


async def test_command_creates_first_key_of_a_gateway_that_never_ran(serve: Serve, state_dir: Path) -> None:
    code, secret, _ = await command(state_dir, "create", "--name", "first")
    assert code == 0

    path = state_dir / DATABASE_FILE_NAME
    async with open_database(path) as database, open_key_store(database, path) as store:
        client = await serve(keys=store)
        assert await status(client, secret.strip()) == 200
        assert (await client.get("/v1/models")).status == 401


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "x", "--scope", "root"], "scopes 0: "),
        (["--name", "x", "--requests-per-minute", "chat"], "requests_per_minute chat: "),
        (["--name", ""], "name: "),
        (["--name", "x", "--group", "two words"], "group: "),
        (["--name", "x", "--group", ""], "group: "),
    ],
)
async def test_command_reports_invalid_arguments(state_dir: Path, arguments: list[str], message: str) -> None:
    code, output, error_output = await command(state_dir, "create", *arguments)

    assert (code, output) == (1, "")
    assert error_output.startswith(f"claude-gateway: {message}")


async def test_command_changes_named_limits_beside_a_running_gateway_and_keeps_others(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    client = await serve(keys=keys, api_key=API_KEY, rate_limit_enabled=True, rate_limit_chat_per_minute=1)
    created = await create_key(client, requests_per_minute={"session": 7}, max_concurrent_jobs=3)
    assert [await status(client, created, "POST", CHAT_PATH) for _ in range(2)] == [200, 429]

    code, output, _ = await command(state_dir, "update", created["id"], "--requests-per-minute", "chat=5")

    assert (code, output.split()[0]) == (0, f"{created['id']}:")
    assert [await status(client, created, "POST", CHAT_PATH) for _ in range(6)] == [200] * 5 + [429]
    (listed,) = (await (await client.get("/v1/admin/keys", headers=ADMIN_HEADERS)).json())["keys"]
    assert (listed["requests_per_minute"], listed["max_concurrent_jobs"]) == ({"session": 7, "chat": 5}, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--requests-per-minute", "chats=5"],
        ["--requests-per-minute", "chat=0"],
        ["--max-concurrent-jobs", "0"],
        ["--group", "two words"],
        ["--group", ""],
    ],
)
async def test_command_rejects_invalid_limit_with_one_line(
    serve: Serve, keys: KeyStore, state_dir: Path, arguments: list[str]
) -> None:
    created = await create_key(await serve(keys=keys, api_key=API_KEY))

    code, _, error_output = await command(state_dir, "update", created["id"], *arguments)

    assert code == 1
    assert len(error_output.splitlines()) == 1


async def test_command_changes_group_beside_a_running_gateway(serve: Serve, keys: KeyStore, state_dir: Path) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY)
    _, secret, _ = await command(
        state_dir, "create", "--name", "one", "--group", "family", "--max-concurrent-jobs", "2"
    )
    (stored,) = (await keys.load_active_keys())[1]
    assert await status(client, secret.strip(), "POST", CHAT_PATH) == 200
    _, listed, _ = await command(state_dir, "list")
    assert listed.split()[-2:] == ["family", "one"]

    for arguments, group in ((["--group", "team"], "team"), ([], "team"), (["--no-group"], "none")):
        code, output, _ = await command(state_dir, "update", stored.key.id, *arguments)
        assert (code, output.endswith(f"concurrent jobs: 2; group: {group}\n")) == (0, True)
        assert await status(client, secret.strip(), "POST", CHAT_PATH) == 200

    assert [job.group for job in worker_source.jobs] == ["family", "team", "team", ""]
    _, listed, _ = await command(state_dir, "list")
    assert listed.split()[-2:] == ["-", "one"]


async def test_command_rejects_update_with_a_group_and_no_group(keys: KeyStore, state_dir: Path) -> None:
    code, _, error_output = await command(state_dir, "update", "0" * 12, "--group", "family", "--no-group")

    assert code == 2
    assert "not allowed with argument --group" in error_output


async def test_command_rejects_update_of_unknown_key(keys: KeyStore, state_dir: Path) -> None:
    code, _, error_output = await command(state_dir, "update", "0" * 12, "--max-concurrent-jobs", "2")

    assert code == 1
    assert "no such key" in error_output
