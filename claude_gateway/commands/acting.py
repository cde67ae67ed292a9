"""Which commands of an installed program work on the service that was installed with it."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.installation.service import acting_as_service


@dataclass(frozen=True, slots=True)
class Acts:
    """What a verb has to do with the service: `must` it be that one, and does it need its `credentials`?"""

    must: bool
    credentials: bool


ON_THE_DATABASE = Acts(must=True, credentials=False)
TO_EXAMINE = Acts(must=True, credentials=True)
# Others may log in and serve for themselves.
TO_SERVE = Acts(must=False, credentials=True)
TO_LOG_IN = Acts(must=False, credentials=False)


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Where the unit of the service is: the program that `make install` puts into place says so."""
    parser.add_argument("--unit", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(acts=None, acting=None)


@contextmanager
def acting(arguments: argparse.Namespace) -> Iterator[None]:
    """For the length of a `with` this process is the service, where the verb works on it. Raises `StartFailed`."""
    acts: Acts | None = arguments.acts
    if arguments.unit is None or acts is None:
        yield
        return
    with acting_as_service(arguments.unit, must=acts.must, credentials=acts.credentials) as found:
        for warning in found.warnings if found else ():
            sys.stderr.write(f"claude-gateway: {warning}\n")
        arguments.acting = found
        yield
