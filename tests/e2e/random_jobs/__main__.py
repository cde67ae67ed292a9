"""`python -m tests.e2e.random_jobs --jobs 500 --seed 1`: compare what the upstream receives with what it should.

Prints each kind of difference once, with the smallest job that shows it. Fails where there is one.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.random_jobs.job import DIALECTS
from tests.e2e.random_jobs.trial import Finding, trial
from tests.e2e.random_jobs.wire import body_of, path_of

_MAX_BODY_SHOWN = 2_000


async def _run(jobs: int, seed: int, dialects: list[str], *, shrink: bool) -> int:
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Finding] = {}
    wanted = [dialect for dialect in DIALECTS if not dialects or dialect in dialects]
    with tempfile.TemporaryDirectory(prefix="claude-gateway-random-jobs-") as directory:
        async with trial(Path(directory)) as running:
            for number in range(jobs):
                for finding in await running.run(seed + number // len(wanted), wanted[number % len(wanted)]):
                    key = (finding.job.dialect, finding.difference.kind)
                    counts[key] += 1
                    if first.setdefault(key, finding) is finding:
                        print(f"{key[0]} {finding.route}: {finding.difference}", file=sys.stderr, flush=True)
            for key, finding in sorted(first.items()):
                shown = await running.smallest(finding) if shrink and "/" not in finding.route else finding
                print(f"\n== {key[0]}: {counts[key]} x {shown.route}: {shown.difference}")
                if shown.warnings:
                    print(f"    warned {shown.warnings}")
                body = json.dumps(body_of(shown.job))
                print(f"    POST {path_of(shown.job)} {body[:_MAX_BODY_SHOWN]}")
            print(f"\n{running.jobs} requests by each route, {sum(counts.values())} differences of {len(first)} kinds")
    return 1 if first else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.random_jobs")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialect", action="append", default=[], choices=DIALECTS)
    parser.add_argument("--no-shrink", action="store_true", help="show the jobs as they were made")
    asked = parser.parse_args()
    return asyncio.run(_run(asked.jobs, asked.seed, asked.dialect, shrink=not asked.no_shrink))


if __name__ == "__main__":
    sys.exit(main())
