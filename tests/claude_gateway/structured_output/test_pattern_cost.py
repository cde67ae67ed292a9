"""Estimate of the compiled size of a pattern from its text."""

import pytest

from claude_gateway.structured_output import validation
from claude_gateway.structured_output.pattern_cost import MAX_PATTERN_COST, estimate_pattern_cost


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
def test_rejects_pattern_that_grows_too_large(pattern: str) -> None:
    assert estimate_pattern_cost(pattern) > MAX_PATTERN_COST
    assert "cannot be matched" in (validation.find_schema_problem({"pattern": pattern}, lambda: None) or "")


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
def test_accepts_realistic_patterns(pattern: str) -> None:
    assert estimate_pattern_cost(pattern) <= MAX_PATTERN_COST
    assert validation.find_schema_problem({"pattern": pattern}, lambda: None) is None


def test_drops_compiled_patterns_after_each_check(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = []

    class RecordedCheck(validation._Check):
        def __init__(self, checkpoint: validation.Checkpoint) -> None:
            super().__init__(checkpoint)
            checks.append(self)

    monkeypatch.setattr(validation, "_Check", RecordedCheck)
    schema = {"items": {"pattern": r"^kept\w{50}$"}}
    validation.find_problems(schema, '["a", "b"]', lambda: None)
    validation.find_problems({"type": "array"}, "[]", lambda: None)

    assert [list(check._matchers) for check in checks] == [[r"^kept\w{50}$"], []]
