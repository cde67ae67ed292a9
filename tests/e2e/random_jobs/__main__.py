"""`python -m tests.e2e.random_jobs --jobs 500 --seed 1`: compare upstream requests of random jobs with the expected.

Prints each kind of difference once, with the smallest job that shows it, and exits with status 1 if there is one.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.random_jobs.job import DIALECTS
from tests.e2e.random_jobs.trial import Finding, run_trial
from tests.e2e.random_jobs.wire import request_body, request_path

_MAX_SHOWN_BODY_CHARS = 2_000


async def _run_jobs(job_count: int, seed: int, dialects: list[str], *, shrink: bool) -> int:
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Finding] = {}
    selected = [dialect for dialect in DIALECTS if not dialects or dialect in dialects]
    with tempfile.TemporaryDirectory(prefix="claude-gateway-random-jobs-") as directory:
        async with run_trial(Path(directory)) as trial:
            for number in range(job_count):
                for finding in await trial.run(seed + number // len(selected), selected[number % len(selected)]):
                    key = (finding.job.dialect, finding.difference.kind)
                    counts[key] += 1
                    if first.setdefault(key, finding) is finding:
                        print(f"{key[0]} {finding.route}: {finding.difference}", file=sys.stderr, flush=True)
            for key, finding in sorted(first.items()):
                smallest = await trial.shrink(finding) if shrink and "/" not in finding.route else finding
                print(f"\n== {key[0]}: {counts[key]} x {smallest.route}: {smallest.difference}")
                if smallest.warnings:
                    print(f"    warnings: {smallest.warnings}")
                body = json.dumps(request_body(smallest.job))
                print(f"    POST {request_path(smallest.job)} {body[:_MAX_SHOWN_BODY_CHARS]}")
            print(
                f"\n{trial.job_count} requests by each route, {sum(counts.values())} differences of {len(first)} kinds"
            )
    return 1 if first else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.random_jobs")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialect", action="append", default=[], choices=DIALECTS)
    parser.add_argument("--no-shrink", action="store_true", help="print the jobs as they were generated")
    arguments = parser.parse_args()
    return asyncio.run(_run_jobs(arguments.jobs, arguments.seed, arguments.dialect, shrink=not arguments.no_shrink))


if __name__ == "__main__":
    sys.exit(main())
