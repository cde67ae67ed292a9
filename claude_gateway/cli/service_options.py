"""Settings of the commands that act on the installed systemd service and run as the user of that service."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.installation.service_user import run_as_service


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Requirements of a command that acts on the installed systemd service.

    Attributes:
        is_required: Whether the command fails if it cannot run as the service.
        needs_credentials: Whether the command reads the credentials of the service.
    """

    is_required: bool
    needs_credentials: bool


DATABASE_COMMAND = ServiceOptions(is_required=True, needs_credentials=False)
DOCTOR_COMMAND = ServiceOptions(is_required=True, needs_credentials=True)
# These commands do not require the service, because other users may run a gateway of their own.
SERVE_COMMAND = ServiceOptions(is_required=False, needs_credentials=True)
LOGIN_COMMAND = ServiceOptions(is_required=False, needs_credentials=False)


def add_unit_option(parser: argparse.ArgumentParser) -> None:
    """Add the hidden option `--unit`, whose value is the path of the systemd unit file of the service.

    The start script that `make install` creates passes this option to the program.
    """
    parser.add_argument("--unit", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(service_options=None, service_context=None)


@contextmanager
def enter_service_context(arguments: argparse.Namespace) -> Iterator[None]:
    """Run the `with` block as the installed service if the command acts on that service.

    Raises:
        StartupError: The command requires the service, but cannot run as the service.
    """
    options: ServiceOptions | None = arguments.service_options
    if arguments.unit is None or options is None:
        yield
        return
    with run_as_service(
        arguments.unit, is_required=options.is_required, needs_credentials=options.needs_credentials
    ) as context:
        for warning in context.warnings if context else ():
            sys.stderr.write(f"claude-gateway: {warning}\n")
        arguments.service_context = context
        yield
