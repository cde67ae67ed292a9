"""The bodies of the attacks are what they are called, and the figures are those of what was seen."""

import json
import zlib

import pytest

from bench.neighbour.__main__ import targets
from bench.neighbour.bodies import Hostile, hostile_bodies
from bench.neighbour.victim import at_percent

SIZE = 20_000
BODIES = {one.name: one for one in hostile_bodies(SIZE)}
UNPACKERS = {"deflate": 15, "gzip": 31}


@pytest.mark.parametrize("one", BODIES.values(), ids=list(BODIES))
def test_a_body_is_about_as_large_as_it_is_asked_to_be(one: Hostile) -> None:
    assert len(one.body) < 4 * SIZE


@pytest.mark.parametrize("one", [one for one in BODIES.values() if one.headers], ids=lambda one: one.name)
def test_a_packed_body_can_be_unpacked_and_is_json_but_for_its_end(one: Hostile) -> None:
    unpacked = zlib.decompressobj(UNPACKERS[one.headers["content-encoding"]]).decompress(one.body)

    assert unpacked.startswith(b'{"model":"x')


def test_arguments_are_parsed_only_where_somebody_looks_into_them() -> None:
    body = json.loads(BODIES["keys in the arguments of a call"].body)

    (call,) = body["messages"][1]["tool_calls"]
    assert len(json.loads(call["function"]["arguments"])) == SIZE // 12


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 99, float("inf")), ([3.0, 1.0, 2.0], 99, 3.0), ([3.0, 1.0, 2.0], 50, 2.0), ([1.0] * 99 + [9.0], 99, 1.0)],
)
def test_a_percentile_is_a_value_that_was_seen(values: list[float], percent: int, expected: float) -> None:
    assert at_percent(values, percent) == expected


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True, True]),
        ({"first_token_p99_ratio": 2.1}, [False, True, True, True]),
        ({"attacked": {"failed": 1}}, [True, False, True, True]),
        ({"memory_mib": {"before": 80.0, "most": 401.0, "after": 100.0}}, [True, True, False, False]),
    ],
)
def test_a_target_is_missed_where_its_figure_is_beyond_it(changes: dict[str, object], met: list[bool]) -> None:
    figures = {
        "first_token_p99_ratio": 1.9,
        "attacked": {"failed": 0},
        "memory_mib": {"before": 80.0, "most": 399.0, "after": 90.0},
    }

    assert [good for good, _, _ in targets(figures | changes)] == met
