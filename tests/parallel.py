"""Distribution of the tests over processes with pytest-xdist: `make test` and `make test-unit` run in parallel."""

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadScopeScheduling

# Folders whose tests share one expensive thing, such as an installed gateway: one process runs all of them.
SHARED_FOLDERS = ("tests/systemd/",)
# Tests that take long start first, so that no process works alone on one of them at the end.
SLOW_FOLDERS = ("tests/e2e/", "tests/systemd/", "tests/pages/", "tests/nginx/", "tests/docker/", "tests/clients/")


class GroupScheduling(LoadScopeScheduling):
    """Scheduler that gives each group of tests to one process, in the order in which pytest collected the groups."""

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid)


def make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    """Return the scheduler of the controlling process."""
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def find_group(nodeid: str) -> str:
    """Return the name of the group of a test: its folder, if the tests of the folder share something, or its module."""
    shared = (folder for folder in SHARED_FOLDERS if nodeid.startswith(folder))
    return next(shared, nodeid.partition("::")[0])


def sort_slow_first(items: list[pytest.Item]) -> None:
    """Move the slow folders to the front, and the tests of a group together. Otherwise the order stays."""
    first_of_group: dict[str, int] = {}
    for position, item in enumerate(items):
        first_of_group.setdefault(find_group(item.nodeid), position)
    items.sort(key=lambda item: (not _is_slow(item.nodeid), first_of_group[find_group(item.nodeid)]))


def _is_slow(nodeid: str, folders: Iterable[str] = SLOW_FOLDERS) -> bool:
    return any(nodeid.startswith(folder) for folder in folders)
