"""Figures of a benchmark."""

from collections.abc import Mapping
from typing import Any

BenchResult = dict[str, Any]


def to_ms(seconds: float) -> float:
    """Return a time in milliseconds, with one decimal place."""
    return round(seconds * 1000, 1)


def add_baseline(figures: Mapping[str, Any], baseline_figures: Mapping[str, Any]) -> BenchResult:
    """Return the figures of this checkout together with those of the baseline, if there is one."""
    return {**figures, **{f"baseline_{name}": value for name, value in baseline_figures.items()}}
