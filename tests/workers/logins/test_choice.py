"""Choice of a login for a job."""

import pytest

from workers.logins.choice import (
    LoginChoice,
    LoginView,
    ReachedLimit,
    choose_login,
    choose_spare_login,
    list_candidates,
)

KNOWN = ReachedLimit("five_hour", "m", 0.0, 100.0)
UNKNOWN = ReachedLimit("five_hour", "m", 0.0, None)
FREE = LoginView("free")


@pytest.mark.parametrize(
    ("bound", "fallback", "expected"),
    [("", True, ["a", "b"]), ("", False, ["a"]), ("b", True, ["b"]), ("b", False, ["b"]), ("x", True, [])],
)
def test_candidates_follow_the_key_and_the_operator(bound: str, fallback: bool, expected: list[str]) -> None:
    views = [LoginView("a"), LoginView("b")]
    found = list_candidates(views, bound_login=bound, allows_fallback=fallback)
    assert [view.name for view in found] == expected


def test_login_that_serves_other_models_is_skipped_without_fallback() -> None:
    views = [LoginView("a", serves_model=False), LoginView("b"), LoginView("c")]
    assert list_candidates(views, bound_login="", allows_fallback=False) == [views[1]]


def test_first_usable_login_is_chosen() -> None:
    views = [LoginView("a", limit=KNOWN), LoginView("b", is_failed=True), LoginView("c", lacks_model=True), FREE]
    assert choose_login([*views, LoginView("last")]) == LoginChoice("free")


@pytest.mark.parametrize(
    "view", [LoginView("a", is_failed=True, is_probe_due=True), LoginView("a", limit=UNKNOWN, is_probe_due=True)]
)
def test_preferred_login_whose_return_is_unknown_gets_a_probe(view: LoginView) -> None:
    assert choose_login([view, FREE]) == LoginChoice("a", is_probe=True)
    assert choose_login([FREE, view]) == LoginChoice("free")


def test_login_that_opens_by_itself_gets_no_probe_while_another_is_usable() -> None:
    assert choose_login([LoginView("a", limit=KNOWN, is_probe_due=True), FREE]) == LoginChoice("free")


def test_failed_login_runs_each_job_if_it_is_the_only_one() -> None:
    assert choose_login([LoginView("a", is_failed=True)]) == LoginChoice("a")
    assert choose_login([LoginView("a", lacks_model=True), LoginView("b", is_failed=True)]) == LoginChoice("a")


def test_only_login_that_failed_gets_no_probe() -> None:
    assert choose_login([LoginView("a", is_failed=True, is_probe_due=True)]) == LoginChoice("a")


def test_each_of_several_failed_logins_gets_a_probe() -> None:
    views = [LoginView("a", is_failed=True), LoginView("b", is_failed=True, is_probe_due=True)]
    assert choose_login(views) == LoginChoice("b", is_probe=True)


@pytest.mark.parametrize("limit", [KNOWN, UNKNOWN])
def test_limited_login_runs_no_job_but_a_probe(limit: ReachedLimit) -> None:
    assert choose_login([LoginView("a", limit=limit)]) is None
    assert choose_login([LoginView("a", limit=limit, is_probe_due=True)]) == LoginChoice("a", is_probe=True)


def test_job_waits_for_the_reset_although_another_login_has_failed() -> None:
    views = [LoginView("a", limit=KNOWN), LoginView("b", is_failed=True)]
    assert choose_login(views) is None
    views[1] = LoginView("b", is_failed=True, is_probe_due=True)
    assert choose_login(views) == LoginChoice("b", is_probe=True)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ([FREE, LoginView("b")], "free"),
        ([LoginView("a", is_near_limit=True), FREE], "free"),
        ([LoginView("a", is_near_limit=True), LoginView("b", is_failed=True), FREE], "free"),
        ([LoginView("a", is_near_limit=True), LoginView("b", is_near_limit=True)], "b"),
        ([LoginView("a", is_near_limit=True)], "a"),
        ([LoginView("a", limit=KNOWN), FREE], "free"),
        ([LoginView("a", limit=KNOWN), LoginView("b", is_failed=True)], "a"),
    ],
)
def test_spares_use_the_login_that_the_next_new_processes_need(views: list[LoginView], expected: str) -> None:
    assert choose_spare_login(views) == expected
