"""Check the language of the project: `python -m tests.prose [FILE OR FOLDER ...]`."""

import sys
from pathlib import Path

from tests.prose.check import ROOT, check_file, drop_exempt, find_files
from tests.prose.rules import EXEMPTIONS


def main(arguments: list[str]) -> int:
    """Print every refused word as `file:line: words: suggestion`, and return the exit status."""
    names = [Path(name).resolve().relative_to(ROOT).as_posix() for name in arguments]
    files = find_files(names)
    hits, used = drop_exempt(hit for path in files for hit in check_file(path))
    for hit in hits:
        print(hit)
    unused = [] if names else [entry for entry in EXEMPTIONS if entry not in used]
    for entry in unused:
        print(f"tests/prose/rules.py: the exemption of {entry.words!r} in {entry.path} accepts nothing: remove it")
    print(f"{len(hits)} refused words in {len(files)} files", file=sys.stderr)
    return 1 if hits or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
