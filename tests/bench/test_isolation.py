"""Tests of the hostile bodies and of the evaluation of the isolation benchmark."""

import json
import zlib

import pytest

from bench.isolation.__main__ import evaluate_targets
from bench.isolation.bodies import HostileRequest, iter_hostile_requests
from bench.isolation.victim import percentile

SIZE = 20_000
REQUESTS = {request.name: request for request in iter_hostile_requests(SIZE)}
WINDOW_BITS = {"deflate": 15, "gzip": 31}


@pytest.mark.parametrize("hostile", REQUESTS.values(), ids=list(REQUESTS))
def test_hostile_body_has_about_the_requested_size(hostile: HostileRequest) -> None:
    assert len(hostile.body) < 4 * SIZE


@pytest.mark.parametrize(
    "hostile", [request for request in REQUESTS.values() if request.headers], ids=lambda request: request.name
)
def test_compressed_body_decompresses_to_json(hostile: HostileRequest) -> None:
    window_bits = WINDOW_BITS[hostile.headers["content-encoding"]]

    assert zlib.decompressobj(window_bits).decompress(hostile.body).startswith(b'{"model":"x')


def test_call_arguments_hold_the_requested_number_of_keys() -> None:
    body = json.loads(REQUESTS["keys in the arguments of a call"].body)

    (call,) = body["messages"][1]["tool_calls"]
    assert len(json.loads(call["function"]["arguments"])) == SIZE // 12


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 99, float("inf")), ([3.0, 1.0, 2.0], 99, 3.0), ([3.0, 1.0, 2.0], 50, 2.0), ([1.0] * 99 + [9.0], 99, 1.0)],
)
def test_percentile_is_one_of_the_measured_values(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True, True]),
        ({"first_token_p99_ratio": 2.1}, [False, True, True, True]),
        ({"attacked": {"failed": 1}}, [True, False, True, True]),
        ({"memory_mib": {"before": 80.0, "max": 401.0, "after": 100.0}}, [True, True, False, False]),
    ],
)
def test_target_is_missed_when_its_value_exceeds_the_limit(changes: dict[str, object], met: list[bool]) -> None:
    figures = {
        "first_token_p99_ratio": 1.9,
        "attacked": {"failed": 0},
        "memory_mib": {"before": 80.0, "max": 399.0, "after": 90.0},
    }

    assert [is_met for is_met, _, _ in evaluate_targets(figures | changes)] == met
