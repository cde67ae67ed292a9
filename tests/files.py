"""List the files below a directory while a gateway works in it."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Yield each file, in any order. Directories that the gateway removes meanwhile are skipped."""
    for directory, _, names in os.walk(root):
        yield from (Path(directory, name) for name in names)
