"""A pattern that grows too large when it is built is told by its text, before anything is built."""

import pytest

from claude_gateway.structured import schema_check
from claude_gateway.structured.pattern_cost import MAX_COST, cost


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            r"\w{300}",
            r"(\w{20}){20}",
            r"((((a{100}){100}){100}){100})",
            r"[\w.-]{1,200}",
            r"\p{L}{400}",
            r"[a-z]{9000}",
        ),
        *(r"(?i)\w{100}", r"(?:\d{30}|\s{30}){3}", r"(?P<name>\w{10}){50}", r"\W{,500}", r"\w{99999999999999999999}"),
        *(
            r"a{10}{10}{10}{10}",
            r"(a|b|c){5000}",
            r"(?x) \w{ 1 , 500 }",
            r"[[a-z][\d]]{300}",
            "[а-яё]{500}",
            "x" * 3_000,
        ),
    ],
)
def test_what_grows_too_large_is_refused(pattern: str) -> None:
    assert cost(pattern) > MAX_COST
    assert "cannot be matched" in (schema_check.complaint({"pattern": pattern}, lambda: None) or "")


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"^[a-z]+$", r"^\w{1,64}$", r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$", r"^[\w.+-]+@[\w-]+\.[\w.]{2,24}$"),
        *(
            r"^(?:[0-9a-f]{8}-){3}[0-9a-f]{12}$",
            r"^.{1,400}$",
            r"^[^\]]{1,200}$",
            r"^[]a]{9}$",
            r"\(\[\{",
            r"^https?://\S+$",
        ),
        *(r"^[A-Z]{2,1000}$", "", r"a\{5000\}", r"[{]5000[}]"),
    ],
)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert cost(pattern) <= MAX_COST
    assert schema_check.complaint({"pattern": pattern}, lambda: None) is None


def test_no_pattern_is_kept_behind_the_check_that_needed_it() -> None:
    schema = {"items": {"pattern": r"^kept\w{50}$"}}
    schema_check.faults(schema, '["a", "b"]', lambda: None)
    first = schema_check._built.get()
    schema_check.faults({"type": "array"}, "[]", lambda: None)

    assert list(first) == [r"^kept\w{50}$"]
    assert schema_check._built.get() == {}
