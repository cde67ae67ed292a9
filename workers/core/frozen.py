"""Changes to frozen data classes. No I/O."""

from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")


def with_changes(instance: T, **changes: Any) -> T:
    """Return the instance itself if its fields already have these values, otherwise a copy with these values.

    Most requests change few values, and a copy of an instance with many fields takes several microseconds.
    """
    for name, value in changes.items():
        if getattr(instance, name) != value:
            return replace(instance, **changes)  # type: ignore[type-var]
    return instance
