"""The files below a directory in which a gateway is still at work."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Yield each file, in any order; directories that are removed meanwhile are skipped."""
    for directory, _, names in os.walk(root):
        yield from (Path(directory, name) for name in names)
