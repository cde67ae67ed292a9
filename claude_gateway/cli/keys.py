"""The command `claude-gateway keys`, which manages API keys. It changes the database, even while the gateway runs."""

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import open_key_store
from claude_gateway.auth.models import StoredKey
from claude_gateway.auth.schemas import CreateKeyRequest, KeyBudgetRequest, UpdateKeyRequest, key_to_json
from claude_gateway.cli.common import find_database, load_command_settings, print_database_path
from claude_gateway.core.errors import ApiError, StartupError
from claude_gateway.storage.database import StorageUnavailable, open_database

RunCommand = Callable[[argparse.Namespace], int]
_CONCURRENT_JOBS_HELP = "limit on concurrent jobs, including jobs that wait for a worker"
_REQUESTS_PER_MINUTE_HELP = "rate limit of a group, such as chat=60; repeat it for more groups"
_GROUP_HELP = "group whose keys share processes with this key, for the keys of one person or team"
_LOGIN_HELP = "only login of LOGINS_FILE that the key may use"
_ID_HELP = "id of the key, as `list` shows it"


def add_key_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands that create, list and change keys."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="create a key and print it once")
    create.add_argument("--name", required=True, help="name of the key for operators")
    create.add_argument("--scope", action="append", metavar="SCOPE", help="chat, tools, mcp or admin; may be repeated")
    create.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="name or pattern of a model that the key may use; may be repeated; without it all models",
    )
    create.add_argument("--expires-in-days", type=float, metavar="DAYS", help="without it the key never expires")
    create.add_argument(
        "--requests-per-minute", action="append", default=[], metavar="GROUP=N", help=_REQUESTS_PER_MINUTE_HELP
    )
    create.add_argument("--max-concurrent-jobs", type=int, metavar="N", help=_CONCURRENT_JOBS_HELP)
    create.add_argument("--tokens-per-day", type=int, metavar="N", help="budget of tokens of all kinds a day (UTC)")
    create.add_argument("--usd-per-day", type=float, metavar="USD", help="budget of US dollars a day (UTC)")
    create.add_argument("--group", metavar="NAME", help=_GROUP_HELP)
    create.add_argument("--login", metavar="NAME", help=f"{_LOGIN_HELP}; without it each login")
    create.set_defaults(run=_make_command(_create, creates_database=True))
    update = commands.add_parser(
        "update", help="change the limits, the group or the login of a key, from its next request on"
    )
    update.add_argument("id", help=_ID_HELP)
    update.add_argument(
        "--requests-per-minute", action="append", default=[], metavar="GROUP=N", help=_REQUESTS_PER_MINUTE_HELP
    )
    update.add_argument("--max-concurrent-jobs", type=int, metavar="N", help=_CONCURRENT_JOBS_HELP)
    group = update.add_mutually_exclusive_group()
    group.add_argument("--group", metavar="NAME", help=_GROUP_HELP)
    group.add_argument("--no-group", action="store_true", help="take the key out of its group")
    login = update.add_mutually_exclusive_group()
    login.add_argument("--login", metavar="NAME", help=_LOGIN_HELP)
    login.add_argument("--any-login", action="store_true", help="let the key use each login")
    update.set_defaults(run=_make_command(_update))
    listing = commands.add_parser("list", help="list the keys with their scopes")
    listing.add_argument("--json", action="store_true", help="print JSON, one key per line")
    listing.set_defaults(run=_make_command(_list))
    for name, action, help_ in (
        ("revoke", _revoke, "revoke a key immediately and permanently"),
        ("rotate", _rotate, "replace the secret of a key and print the new one; the old one is rejected from then on"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("id", help=_ID_HELP)
        command.set_defaults(run=_make_command(action))


def _make_command(
    action: Callable[[KeyService, argparse.Namespace], Awaitable[None]], *, creates_database: bool = False
) -> RunCommand:
    def run(arguments: argparse.Namespace) -> int:
        path = find_database(load_command_settings().state_dir, must_exist=not creates_database)
        asyncio.run(_with_key_service(path, lambda keys: action(keys, arguments)))
        return 0

    return run


async def _with_key_service(path: Path, action: Callable[[KeyService], Awaitable[None]]) -> None:
    try:
        async with open_database(path) as database, open_key_store(database, path) as store:
            await action(KeyService(store))
    except StorageUnavailable as error:
        raise StartupError(str(error)) from None
    except ApiError as error:
        raise StartupError(error.message) from None
    print_database_path(path)


async def _create(key_service: KeyService, arguments: argparse.Namespace) -> None:
    with _report_validation_errors():
        request = _build_create_request(arguments)
    _print_secret(*await key_service.create_key(request))


async def _update(key_service: KeyService, arguments: argparse.Namespace) -> None:
    with _report_validation_errors():
        request = _build_update_request(arguments)
    updated = (await key_service.update_key(arguments.id, request)).key
    rates = [f"{group}={number}" for group, number in updated.limits.requests_per_minute.items()]
    jobs = updated.limits.max_concurrent_jobs or "default"
    print(
        f"{arguments.id}: requests per minute: {', '.join(rates) or 'default'}; concurrent jobs: {jobs}; "
        f"group: {updated.group or 'none'}{f'; login: {updated.login}' if updated.login else ''}"
    )


@contextmanager
def _report_validation_errors() -> Iterator[None]:
    """Convert a validation error raised in the `with` block to an error whose one-line text names the invalid field."""
    try:
        yield
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        raise StartupError(f"{' '.join(map(str, first['loc']))}: {first['msg']}") from None


def _build_create_request(arguments: argparse.Namespace) -> CreateKeyRequest:
    return CreateKeyRequest(
        name=arguments.name,
        scopes=arguments.scope or ["chat"],
        models=arguments.model or [],
        expires_in_days=arguments.expires_in_days,
        requests_per_minute=dict(map(_parse_rate, arguments.requests_per_minute)),
        max_concurrent_jobs=arguments.max_concurrent_jobs,
        budget=KeyBudgetRequest(tokens_per_day=arguments.tokens_per_day, usd_per_day=arguments.usd_per_day),
        group=arguments.group,
        login=arguments.login,
    )


def _build_update_request(arguments: argparse.Namespace) -> UpdateKeyRequest:
    """Return a request with the fields that the command line names; it changes no other field."""
    fields: dict[str, Any] = {"requests_per_minute": dict(map(_parse_rate, arguments.requests_per_minute))}
    if arguments.max_concurrent_jobs is not None:
        fields["max_concurrent_jobs"] = arguments.max_concurrent_jobs
    if arguments.group is not None or arguments.no_group:
        fields["group"] = arguments.group
    if arguments.login is not None or arguments.any_login:
        fields["login"] = arguments.login
    return UpdateKeyRequest(**fields)


def _parse_rate(option: str) -> tuple[Any, Any]:
    group, _, number = option.partition("=")
    return group, int(number) if re.fullmatch(r"[0-9]{1,9}", number) else number


async def _rotate(key_service: KeyService, arguments: argparse.Namespace) -> None:
    _print_secret(*await key_service.rotate_key(arguments.id))


async def _revoke(key_service: KeyService, arguments: argparse.Namespace) -> None:
    await key_service.revoke_key(arguments.id)
    print(f"revoked {arguments.id}")


async def _list(key_service: KeyService, arguments: argparse.Namespace) -> None:
    now = key_service.now()
    keys = [key_to_json(stored, now) for stored in await key_service.list_keys()]
    if arguments.json:
        for key in keys:
            print(orjson.dumps(key).decode())
        return
    for key in keys:
        expiry = _format_day(key["expires_at"]) if key["expires_at"] else "never"
        scopes, group = ",".join(key["scopes"]), key["group"] or "-"
        print(f"{key['id']}  {key['status']:<8} {scopes:<21} {expiry:<10}  {group:<10}  {key['name']}")


def _print_secret(stored_key: StoredKey, secret: str) -> None:
    """Print the secret on stdout, and the description of the key on stderr.

    So the operator can redirect stdout to a file that contains only the secret.
    """
    print(secret, flush=True)
    scopes = ", ".join(sorted(stored_key.key.scopes))
    print(f"{stored_key.key.id}: {stored_key.key.name} ({scopes}). The key is not shown again.", file=sys.stderr)


def _format_day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
