"""The console command `claude-gateway`."""

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import uvloop
from pydantic import ValidationError

from claude_gateway.app import running_gateway
from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.cli_facts.check_cli import check_cli
from claude_gateway.commands import backup, console, keys, usage
from claude_gateway.config import Settings
from claude_gateway.config.renewal import complaints
from claude_gateway.daemon.signals import Signals
from claude_gateway.demo.show import run_demo
from claude_gateway.doctor.examination import examine
from claude_gateway.doctor.findings import exit_status
from claude_gateway.documents import environment_file
from claude_gateway.documents.generated import Part
from claude_gateway.documents.parameters_table import PARAMETERS
from claude_gateway.documents.settings_table import SETTINGS
from claude_gateway.log.lines import write_log
from claude_gateway.start_failed import StartFailed

_FAILED = 1
_MISUSED = 2


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit status. What goes wrong at a start is one line on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ValidationError as error:
        for complaint in complaints(error):
            print(f"claude-gateway: {complaint}", file=sys.stderr)
        return _MISUSED
    except StartFailed as error:
        print(f"claude-gateway: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="claude-gateway", description="Your own Claude Code behind an OpenAI API.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="serve, with settings from the environment and .env")
    serve.set_defaults(run=_serve)
    login = verbs.add_parser("login", help="log Claude Code in as this user: runs its own `claude auth login`")
    login.set_defaults(run=_login)
    keys.add_verbs(verbs.add_parser("keys", help="create, list, revoke and rotate the keys of callers"))
    demo = verbs.add_parser("demo", help="one streamed chat on the real CLI and a stand-in upstream; no account needed")
    demo.add_argument("prompt", nargs="*", help="what to ask; the stand-in echoes it")
    demo.set_defaults(run=lambda arguments: uvloop.run(run_demo(" ".join(arguments.prompt))))
    usage.add_verbs(verbs)
    backup.add_verbs(verbs)
    doctor = verbs.add_parser("doctor", help="look at everything that a gateway of these settings needs")
    doctor.add_argument("--url", help="the public address, to see whether a proxy holds streams back; uses API_KEY")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=_doctor)
    check = verbs.add_parser("check-cli", help="try on another claude binary what this gateway relies on")
    check.add_argument("path", type=Path, metavar="PATH", help="the binary")
    check.add_argument("--json", action="store_true", help="as JSON")
    check.set_defaults(run=_check_cli)
    environment = verbs.add_parser("environment", help="print every setting as a commented .env file")
    environment.set_defaults(run=lambda _: environment_file.write())
    for part in (SETTINGS, PARAMETERS):
        verb = verbs.add_parser(part.name, help=f"print the {part.name} as a table")
        verb.add_argument("--write", type=Path, metavar="FILE", help="put the table between the marks in FILE")
        verb.add_argument("--check", type=Path, metavar="FILE", help="fail when the table in FILE is not this one")
        verb.set_defaults(run=_generated, part=part)
    return parser


def _serve(_: argparse.Namespace) -> int:
    settings = Settings()
    write_log(settings.log_level, settings.log_format)
    # A connection and a worker's pipe each cost a descriptor; the usual soft limit of 1,024 is soon reached.
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_serve_until_stopped(settings))
    return 0


async def _serve_until_stopped(settings: Settings) -> None:
    """The first signal drains, whether it comes while starting or serving; a second one does not wait."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    signals = Signals()
    stop = _stopper(task, signals.hurry)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, signals.renew.set)
    with contextlib.suppress(asyncio.CancelledError):
        async with running_gateway(settings, signals) as address:
            # What the start left behind lives as long as the process: no collection need walk it again.
            gc.collect()
            gc.freeze()
            print(f"claude-gateway serves on {address}", file=sys.stderr, flush=True)
            await asyncio.Event().wait()


def _stopper(task: asyncio.Task[None], hurry: asyncio.Event) -> Callable[[], None]:
    def stop() -> None:
        if task.cancelling():
            hurry.set()
        else:
            task.cancel()

    return stop


def _login(_: argparse.Namespace) -> NoReturn:
    """Hand over to the bundled binary, which is on nobody's PATH."""
    path = str(Settings().claude_cli_path or bundled_cli())
    os.execv(path, [path, "auth", "login"])  # noqa: S606


def _doctor(arguments: argparse.Namespace) -> int:
    findings = uvloop.run(examine(Settings(), arguments.url))
    console.show(findings, json_only=arguments.json)
    return exit_status(findings)


def _check_cli(arguments: argparse.Namespace) -> int:
    findings = uvloop.run(check_cli(arguments.path.expanduser().resolve()))
    console.show(findings, json_only=arguments.json)
    return exit_status(findings)


def _generated(arguments: argparse.Namespace) -> int:
    part: Part = arguments.part
    return part.check(arguments.check) if arguments.check else part.write(arguments.write)


if __name__ == "__main__":
    sys.exit(main())
