"""Keys made, shown once, limited to what they are for, renewed and revoked: over HTTP and by the command."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.stores.db import DATABASE, open_database
from claude_gateway.stores.keys import KeyStore, open_keys
from tests.claude_gateway.scripted import CHAT, HELLO, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import PATIENCE

OWNER = {"authorization": "Bearer the-owner-s"}
API_KEY = SecretStr("the-owner-s")
CHAT_PATH = "/v1/chat/completions"


def bearer(made: dict[str, Any] | str) -> dict[str, str]:
    return {"authorization": f"Bearer {made if isinstance(made, str) else made['key']}"}


async def make(client: Client, **wanted: Any) -> dict[str, Any]:
    response = await client.post("/v1/admin/keys", json={"name": "one", **wanted}, headers=OWNER)
    assert response.status == 201, await response.text()
    made: dict[str, Any] = await response.json()
    return made


async def status(client: Client, made: dict[str, Any] | str, method: str = "GET", path: str = "/v1/auth/status") -> int:
    body = CHAT if method == "POST" else None
    return (await client.request(method, path, headers=bearer(made), json=body)).status


async def command(state_dir: Path, *arguments: str) -> tuple[int, str, str]:
    """`claude-gateway keys …` in a process of its own, as a person runs it beside the gateway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli", "keys", *arguments),
        env={"STATE_DIR": str(state_dir), "PATH": os.environ["PATH"]},
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, note = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), note.decode()


@pytest.mark.promise("keys.shown-once")
async def test_a_key_is_shown_once_and_is_neither_stored_nor_logged(
    serve: Serve, keys: KeyStore, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await serve(keys=keys, api_key=API_KEY)

    response = await client.post("/v1/admin/keys", json={"name": "one", "scopes": ["chat", "admin"]}, headers=OWNER)
    made = await response.json()

    assert response.headers["cache-control"] == "no-store"
    assert await status(client, made) == 200
    listed = await (await client.get("/v1/admin/keys", headers=bearer(made))).text()
    assert made["id"] in listed
    secret = made["key"].rpartition("_")[2]
    assert secret not in listed + caplog.text
    for file in await asyncio.to_thread(lambda: [one.read_bytes() for one in state_dir.iterdir()]):
        assert secret.encode() not in file
        assert bytes.fromhex(secret) not in file


async def test_a_key_is_told_with_everything_that_it_may_do(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    wanted = {
        "name": "a laptop",
        "scopes": ["tools", "chat"],
        "models": ["opus", "claude-haiku-*"],
        "expires_in_days": 1,
        "per_minute": {"chat": 60},
        "concurrent": 3,
        "budget": {"tokens_per_day": 1_000_000, "usd_per_day": 2.5},
    }

    made = await make(client, **wanted)
    (told,) = (await (await client.get("/v1/admin/keys", headers=OWNER)).json())["keys"]

    assert told == {name: value for name, value in made.items() if name != "key"}
    assert {name: told[name] for name in wanted if name in told} == {
        name: value for name, value in wanted.items() if name != "expires_in_days"
    } | {"scopes": ["chat", "tools"]}
    assert told["expires_at"] == told["created_at"] + 86_400
    assert (told["status"], told["revoked_at"]) == ("active", None)
    (held,) = (await keys.held())[1]
    assert (held.key.budget.tokens, held.key.budget.usd, held.key.rates.concurrent) == (1_000_000, 2.5, 3)


async def test_a_key_can_do_nothing_but_chat_unless_told(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    assert (await make(client))["scopes"] == ["chat"]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "x" * 101},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scope": ["chat"]},
        {"name": "x", "per_minute": {"chats": 1}},
        {"name": "x", "per_minute": {"chat": 0}},
        {"name": "x", "concurrent": 0},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "budget": {"usd": 1}},
        {"name": "x", "budget": {"tokens_per_day": -1}},
        {"name": "x", "models": ["with space"]},
        {"name": "x", "concurrent": "5"},
        {"name": "x", "concurrent": True},
        {"name": "x", "per_minute": {"chat": "9" * 30}},
        {"name": "x", "budget": {"tokens_per_day": 1e30}},
        {"name": "x", "budget": {"usd_per_day": True}},
    ],
    ids=str,
)
async def test_a_key_that_is_asked_for_wrongly_is_not_made(serve: Serve, keys: KeyStore, wanted: Any) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    assert (await client.post("/v1/admin/keys", json=wanted, headers=OWNER)).status == 422
    assert await keys.listed() == []


@pytest.mark.promise("keys.revoked-at-once")
async def test_a_revoked_key_opens_nothing_any_more_also_on_an_open_connection(serve: Serve, keys: KeyStore) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    made, other = await make(client), await make(client)
    assert await status(client, made, "POST", CHAT_PATH) == 200

    assert (await client.delete(f"/v1/admin/keys/{made['id']}", headers=OWNER)).status == 200

    assert await status(client, made, "POST", CHAT_PATH) == 401
    assert await status(client, other, "POST", CHAT_PATH) == 200
    assert [job.owner for job in dispatcher.jobs] == [made["id"], other["id"]]
    assert (await client.delete(f"/v1/admin/keys/{made['id']}", headers=OWNER)).status == 404


async def test_an_answer_that_runs_when_its_key_is_revoked_runs_to_its_end(serve: Serve, keys: KeyStore) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher([(*HELLO[:3], go_on, *HELLO[3:])])
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    made = await make(client)

    async with client.post(CHAT_PATH, json=STREAM, headers=bearer(made)) as response:
        await client.delete(f"/v1/admin/keys/{made['id']}", headers=OWNER)
        go_on.set()
        assert (await response.text()).rstrip().endswith("[DONE]")


async def test_a_rotated_key_is_the_same_key_with_another_secret(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    made = await make(client, scopes=["chat", "mcp"], models=["opus"])

    response = await client.post(f"/v1/admin/keys/{made['id']}/rotate", headers=OWNER)
    renewed = await response.json()

    assert renewed["key"] != made["key"]
    assert {**renewed, "key": ""} == {**made, "key": ""}
    assert response.headers["cache-control"] == "no-store"
    assert (await status(client, made), await status(client, renewed)) == (401, 200)


async def test_a_key_expires(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    made = await make(client, expires_in_days=1e-9)

    response = await client.get("/v1/auth/status", headers=bearer(made))

    assert response.status == 401
    assert (await response.json())["error"]["code"] == "expired_api_key"
    (told,) = (await (await client.get("/v1/admin/keys", headers=OWNER)).json())["keys"]
    assert told["status"] == "expired"


async def test_one_key_s_id_with_another_s_secret_opens_nothing(serve: Serve, keys: KeyStore) -> None:
    from claude_gateway.access.secret import new_secret

    client = await serve(keys=keys, api_key=API_KEY)
    made, other = await make(client), await make(client)
    mixed = made["key"].replace(made["id"], other["id"])

    for sent in (mixed, new_secret(made["id"]), made["key"][:-1], made["key"] + "0", made["id"]):
        assert await status(client, sent) == 401


@pytest.mark.promise("keys.none-local-only")
async def test_with_keys_in_the_store_a_caller_of_the_machine_needs_one_even_when_all_are_revoked(
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
    assert info["server_info"]["api_key_source"] == "store"
    assert info["caller"]["name"] == "first"

    await command(state_dir, "revoke", info["caller"]["key_id"])
    assert (await client.get("/v1/models")).status == 401


@pytest.mark.promise("keys.revoked-at-once")
async def test_the_command_works_beside_a_running_gateway_and_acts_at_once(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    client = await serve(keys=keys, api_key=API_KEY)

    code, out, note = await command(
        *(state_dir, "create", "--name", "a laptop", "--scope", "chat", "--scope", "tools", "--model", "opus"),
        *("--per-minute", "chat=60", "--concurrent", "2", "--tokens-per-day", "1000", "--expires-in-days", "30"),
    )
    secret = out.strip()
    assert (code, secret[:4]) == (0, "cgw_")
    assert secret not in note
    assert await status(client, secret) == 200
    (held,) = (await keys.held())[1]
    assert (held.key.name, held.key.scopes, held.key.models) == ("a laptop", {"chat", "tools"}, ("opus",))
    assert (held.key.rates.per_minute, held.key.rates.concurrent, held.key.budget.tokens) == ({"chat": 60}, 2, 1000)

    code, listed, _ = await command(state_dir, "list")
    assert held.key.id in listed
    assert "a laptop" in listed
    assert secret not in listed

    code, renewed, _ = await command(state_dir, "rotate", held.key.id)
    assert (await status(client, secret), await status(client, renewed.strip())) == (401, 200)

    code, _, _ = await command(state_dir, "revoke", held.key.id)
    assert await status(client, renewed.strip()) == 401
    code, _, note = await command(state_dir, "revoke", held.key.id)
    assert (code, note) == (1, "claude-gateway: There is no such key, or it was revoked.\n")


async def test_a_key_is_revoked_also_where_somebody_deleted_the_file_that_tells_of_it(
    serve: Serve, state_dir: Path
) -> None:
    path = state_dir / DATABASE
    async with open_database(path) as database, open_keys(database, path, look_seconds=0.001) as store:
        client = await serve(keys=store, api_key=API_KEY)
        _, secret, _ = await command(state_dir, "create", "--name", "a laptop")
        assert await status(client, secret.strip()) == 200
        ((held,),) = (await store.held())[1:]

        path.with_suffix(".changes").unlink()
        code, _, _ = await command(state_dir, "revoke", held.key.id)

        assert code == 0
        async with asyncio.timeout(PATIENCE):
            while await status(client, secret.strip()) != 401:
                pass


async def test_the_command_makes_the_first_key_of_a_gateway_that_never_ran(serve: Serve, state_dir: Path) -> None:
    code, secret, _ = await command(state_dir, "create", "--name", "first")
    assert code == 0

    path = state_dir / DATABASE
    async with open_database(path) as database, open_keys(database, path) as store:
        client = await serve(keys=store)
        assert await status(client, secret.strip()) == 200
        assert (await client.get("/v1/models")).status == 401


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "x", "--scope", "root"], "scopes 0: "),
        (["--name", "x", "--per-minute", "chat"], "per_minute chat: "),
        (["--name", ""], "name: "),
    ],
)
async def test_the_command_says_what_it_cannot_make(state_dir: Path, arguments: list[str], said: str) -> None:
    code, out, note = await command(state_dir, "create", *arguments)

    assert (code, out) == (1, "")
    assert note.startswith(f"claude-gateway: {said}")


async def test_a_key_s_limits_are_raised_beside_a_running_gateway_and_those_not_named_stay(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    client = await serve(keys=keys, api_key=API_KEY, rate_limit_enabled=True, rate_limit_chat_per_minute=1)
    made = await make(client, per_minute={"session": 7}, concurrent=3)
    assert [await status(client, made, "POST", CHAT_PATH) for _ in range(2)] == [200, 429]

    code, out, _ = await command(state_dir, "limit", made["id"], "--per-minute", "chat=5")

    assert (code, out.split()[0]) == (0, f"{made['id']}:")
    assert [await status(client, made, "POST", CHAT_PATH) for _ in range(6)] == [200] * 5 + [429]
    (listed,) = (await (await client.get("/v1/admin/keys", headers=OWNER)).json())["keys"]
    assert (listed["per_minute"], listed["concurrent"]) == ({"session": 7, "chat": 5}, 3)


@pytest.mark.parametrize("wrong", [["--per-minute", "chats=5"], ["--per-minute", "chat=0"], ["--concurrent", "0"]])
async def test_a_limit_that_cannot_be_is_named(serve: Serve, keys: KeyStore, state_dir: Path, wrong: list[str]) -> None:
    made = await make(await serve(keys=keys, api_key=API_KEY))

    code, _, note = await command(state_dir, "limit", made["id"], *wrong)

    assert code == 1
    assert len(note.splitlines()) == 1


async def test_a_limit_for_no_key_is_an_error(keys: KeyStore, state_dir: Path) -> None:
    code, _, note = await command(state_dir, "limit", "0" * 12, "--concurrent", "2")

    assert code == 1
    assert "no such key" in note
