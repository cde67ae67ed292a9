"""The console command `claude-gateway`."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import uvloop

from claude_gateway.app import running_gateway
from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.cli_facts.check_cli import check_cli
from claude_gateway.commands import backup, console, keys, usage
from claude_gateway.commands.acting import ON_THE_DATABASE, TO_EXAMINE, TO_LOG_IN, TO_SERVE, acting, add_unit
from claude_gateway.commands.settings import command_settings
from claude_gateway.config import Settings
from claude_gateway.config.reading import BadSettings, read_settings_to_serve
from claude_gateway.daemon.signals import Signals
from claude_gateway.demo.show import run_demo
from claude_gateway.doctor.examination import Installed, examine
from claude_gateway.doctor.findings import exit_status
from claude_gateway.documents import environment_file
from claude_gateway.documents.generated import Part
from claude_gateway.documents.parameters_table import PARAMETERS
from claude_gateway.documents.settings_table import SETTINGS
from claude_gateway.installation.service import Acting
from claude_gateway.log.lines import write_log
from claude_gateway.offload.memory import keep_little
from claude_gateway.start_failed import StartFailed
from workers import priority

_log = logging.getLogger("claude_gateway.cli")

_FAILED = 1
_MISUSED = 2


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit status. What goes wrong at a start is one line on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        with acting(arguments):
            return int(arguments.run(arguments))
    except BadSettings as error:
        for complaint in error.complaints:
            _complain(complaint)
        return _MISUSED
    except StartFailed as error:
        _complain(str(error))
        return _FAILED
    except BrokenPipeError:
        # Whoever read on, as `| head` does, has enough. What is still held back must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except OSError as error:
        # A file, a directory or a socket that nobody looked after; the rest of it is in no line for people.
        _complain(f"{error.filename}: {error.strerror or error}" if error.filename else f"{error.strerror or error}")
        return _FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _complain(line: str) -> None:
    print(f"claude-gateway: {' '.join(line.split())}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="claude-gateway", description="Your own Claude Code behind an OpenAI API.")
    add_unit(parser)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="serve, with settings from the environment and .env")
    serve.set_defaults(run=_serve, acts=TO_SERVE)
    login = verbs.add_parser("login", help="log Claude Code in as this user: runs its own `claude auth login`")
    login.set_defaults(run=_login, acts=TO_LOG_IN)
    keys.add_verbs(verbs.add_parser("keys", help="create, list, revoke and rotate the keys of callers"))
    demo = verbs.add_parser("demo", help="one streamed chat on the real CLI and a stand-in upstream; no account needed")
    demo.add_argument("prompt", nargs="*", help="what to ask; the stand-in echoes it")
    demo.set_defaults(run=lambda arguments: uvloop.run(run_demo(" ".join(arguments.prompt))))
    usage.add_verbs(verbs)
    backup.add_verbs(verbs)
    for name in ("keys", "usage", "backup", "restore"):
        verbs.choices[name].set_defaults(acts=ON_THE_DATABASE)
    doctor = verbs.add_parser("doctor", help="look at everything that a gateway of these settings needs")
    doctor.add_argument("--url", help="the public address, to see whether a proxy holds streams back; uses API_KEY")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=_doctor, acts=TO_EXAMINE)
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
    reading = read_settings_to_serve()
    settings = reading.settings
    write_log(settings.log_level, settings.log_format)
    for warning in reading.warnings:
        _log.warning("%s", warning)
    # A connection and a worker's pipe each cost a descriptor; the usual soft limit of 1,024 is soon reached.
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    priority.raise_own()
    keep_little()
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
    settings = command_settings()
    if settings.claude_config_dir:
        os.environ["CLAUDE_CONFIG_DIR"] = settings.claude_config_dir
    path = str(settings.claude_cli_path or bundled_cli())
    os.execv(path, [path, "auth", "login"])  # noqa: S606


def _doctor(arguments: argparse.Namespace) -> int:
    found: Acting | None = arguments.acting
    about = Installed(found.service.address, found.hidden) if found else Installed()
    findings = uvloop.run(examine(command_settings(), arguments.url, installed=about))
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
