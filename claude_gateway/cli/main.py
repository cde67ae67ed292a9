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
from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.cli import backup, keys, output, usage
from claude_gateway.cli.common import load_command_settings
from claude_gateway.cli.service_options import (
    DATABASE_COMMAND,
    DOCTOR_COMMAND,
    LOGIN_COMMAND,
    SERVE_COMMAND,
    add_unit_option,
    enter_service_context,
)
from claude_gateway.config import Settings
from claude_gateway.config.loading import InvalidSettings, load_serve_settings
from claude_gateway.core.errors import StartupError
from claude_gateway.devtools.cli_contract.command import check_cli
from claude_gateway.devtools.demo import run_demo
from claude_gateway.devtools.docgen import env_file
from claude_gateway.devtools.docgen.endpoints_table import ENDPOINTS_SECTION
from claude_gateway.devtools.docgen.markers import GeneratedSection
from claude_gateway.devtools.docgen.parameters_table import PARAMETERS_SECTION
from claude_gateway.devtools.docgen.settings_table import SETTINGS_SECTION
from claude_gateway.doctor.result import exit_status
from claude_gateway.doctor.run import InstalledService, run_doctor
from claude_gateway.installation.service_user import ServiceContext
from claude_gateway.observability.log.formatters import configure_logging
from claude_gateway.offload.memory import limit_retained_memory
from claude_gateway.runtime.shutdown import Signals
from workers.host import priority

_log = logging.getLogger("claude_gateway.cli.main")

_EXIT_FAILURE = 1
_EXIT_USAGE_ERROR = 2


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status. If an expected error occurs, print it as one line on stderr."""
    arguments = _build_parser().parse_args(argv)
    try:
        with enter_service_context(arguments):
            return int(arguments.run(arguments))
    except InvalidSettings as error:
        for problem in error.problems:
            _print_error(problem)
        return _EXIT_USAGE_ERROR
    except StartupError as error:
        _print_error(str(error))
        return _EXIT_FAILURE
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has closed the pipe. Replace stdout, so that the flush at
        # exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_FAILURE
    except OSError as error:
        # No command has handled this error of a file, directory or socket. Print it without a traceback.
        _print_error(f"{error.filename}: {error.strerror or error}" if error.filename else f"{error.strerror or error}")
        return _EXIT_FAILURE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _print_error(message: str) -> None:
    print(f"claude-gateway: {' '.join(message.split())}", file=sys.stderr)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claude-gateway",
        description="Serve Claude Code over the APIs of OpenAI (Chat and Responses), Anthropic and Gemini.",
    )
    add_unit_option(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the gateway with settings from the environment and .env")
    serve.set_defaults(run=_run_serve, service_options=SERVE_COMMAND)
    login = commands.add_parser("login", help="log Claude Code in as this user, with its own `claude auth login`")
    login.set_defaults(run=_run_login, service_options=LOGIN_COMMAND)
    keys.add_key_commands(commands.add_parser("keys", help="create, list, update, revoke and rotate API keys"))
    demo = commands.add_parser(
        "demo", help="stream one chat from the real CLI on a fake Anthropic API; needs no account"
    )
    demo.add_argument("prompt", nargs="*", help="text of the chat; the fake API echoes it")
    demo.set_defaults(run=lambda arguments: uvloop.run(run_demo(" ".join(arguments.prompt))))
    usage.add_usage_command(commands)
    backup.add_backup_commands(commands)
    for name in ("keys", "usage", "backup", "restore"):
        commands.choices[name].set_defaults(service_options=DATABASE_COMMAND)
    doctor = commands.add_parser("doctor", help="check everything that a gateway with these settings needs")
    doctor.add_argument("--url", help="public address, to check whether a proxy buffers streams; uses API_KEY")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_run_doctor, service_options=DOCTOR_COMMAND)
    check = commands.add_parser("check-cli", help="test whether another claude binary works with this gateway")
    check.add_argument("path", type=Path, metavar="PATH", help="path of the binary")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(run=_run_check_cli)
    environment = commands.add_parser("environment", help="print every setting as a commented .env file")
    environment.set_defaults(run=lambda _: env_file.print_env_file())
    for section in (SETTINGS_SECTION, PARAMETERS_SECTION, ENDPOINTS_SECTION):
        command = commands.add_parser(section.name, help=f"print the {section.name} as a table")
        command.add_argument("--write", type=Path, metavar="FILE", help="replace the table between the markers in FILE")
        command.add_argument("--check", type=Path, metavar="FILE", help="fail if the table in FILE is out of date")
        command.set_defaults(run=_run_docs_table, section=section)
    return parser


def _run_serve(_: argparse.Namespace) -> int:
    reading = load_serve_settings()
    settings = reading.settings
    configure_logging(settings.log_level, settings.log_format)
    for warning in reading.warnings:
        _log.warning("%s", warning)
    # Each connection and each pipe of a worker needs a file descriptor. The usual soft limit of 1,024 is too low.
    _soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    priority.raise_gateway_priority()
    limit_retained_memory()
    uvloop.run(_serve_until_stopped(settings))
    return 0


async def _serve_until_stopped(settings: Settings) -> None:
    """Run the gateway until a signal stops it.

    After the first signal, the gateway waits a limited time for the running requests to end, and then stops. It also
    stops if the signal arrives while it is starting. After a second signal, the gateway stops immediately.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    signals = Signals()
    stop = _make_stop_handler(task, signals.force_shutdown)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, signals.reload.set)
    with contextlib.suppress(asyncio.CancelledError):
        async with running_gateway(settings, signals) as address:
            # Objects created during the start exist until the process ends. Later garbage collections can skip them.
            gc.collect()
            gc.freeze()
            print(f"claude-gateway serves on {address}", file=sys.stderr, flush=True)
            await asyncio.Event().wait()


def _make_stop_handler(task: asyncio.Task[None], force_shutdown: asyncio.Event) -> Callable[[], None]:
    def stop() -> None:
        if task.cancelling():
            force_shutdown.set()
        else:
            task.cancel()

    return stop


def _run_login(_: argparse.Namespace) -> NoReturn:
    """Replace this process by the login command of the gateway's `claude` binary, which need not be on the PATH."""
    settings = load_command_settings()
    if settings.claude_config_dir:
        os.environ["CLAUDE_CONFIG_DIR"] = settings.claude_config_dir
    path = str(settings.claude_cli_path or find_bundled_binary())
    os.execv(path, [path, "auth", "login"])  # noqa: S606


def _run_doctor(arguments: argparse.Namespace) -> int:
    context: ServiceContext | None = arguments.service_context
    service = (
        InstalledService(context.service.listen_address, context.unreadable_credentials)
        if context
        else InstalledService()
    )
    results = uvloop.run(run_doctor(load_command_settings(), arguments.url, service=service))
    output.print_results(results, json_only=arguments.json)
    return exit_status(results)


def _run_check_cli(arguments: argparse.Namespace) -> int:
    results = uvloop.run(check_cli(arguments.path.expanduser().resolve()))
    output.print_results(results, json_only=arguments.json)
    return exit_status(results)


def _run_docs_table(arguments: argparse.Namespace) -> int:
    section: GeneratedSection = arguments.section
    return section.check(arguments.check) if arguments.check else section.write(arguments.write)


if __name__ == "__main__":
    sys.exit(main())
