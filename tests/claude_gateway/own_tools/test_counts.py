from claude_gateway.own_tools.counts import MAX_TOOLS, OTHER, ToolCount, ToolCounts
from workers.events import Event, TextDelta, ThinkingDelta, ToolBegan, ToolEnded, Working
from workers.job import ChatJob, Progress, Text, ToolWork, Turn


def a_job(owner: str = "one", *, progress: Progress | None = None) -> ChatJob:
    return ChatJob(owner, "m", (Turn("user", (Text("x"),)),), work=ToolWork(("Bash",), progress=progress))


def feed(counts: ToolCounts, job: ChatJob, *events: Working) -> list[Event]:
    calls = counts.of_job(job)
    return [told for event in events for told in calls.feed(event)]


def test_calls_are_counted_by_tool_with_what_became_of_them_and_how_long_they_took() -> None:
    times = iter([10.0, 12.5, 20.0, 20.5, 30.0])
    counts = ToolCounts(lambda: next(times))
    assert not feed(counts, a_job(), ToolBegan("1", "Bash", ""), ToolEnded("1", "ok"))
    feed(counts, a_job(), ToolBegan("2", "Bash", ""), ToolEnded("2", "failed"), ToolBegan("3", "Read", ""))
    assert counts.of("one") == {"Bash": ToolCount(2, 1, 0, 3.0), "Read": ToolCount(1)}


def test_another_key_has_counts_of_its_own() -> None:
    counts = ToolCounts()
    feed(counts, a_job(), ToolBegan("1", "Bash", ""), ToolEnded("1", "denied"))
    assert counts.of("one")["Bash"].denied == 1
    assert counts.of("other") == {}


def test_progress_is_told_to_who_asked_for_it_as_he_asked() -> None:
    calls = [ToolBegan("1", "Bash", "ls"), ToolEnded("1", "ok")]
    told = feed(ToolCounts(), a_job(progress="thoughts"), *calls)
    assert [event.text for event in told if isinstance(event, ThinkingDelta | TextDelta)] == ["Bash: ls\n"]
    assert feed(ToolCounts(), a_job(progress="calls"), *calls) == calls


def test_a_key_that_uses_tools_of_ever_new_names_has_so_many_counts() -> None:
    counts = ToolCounts()
    feed(counts, a_job("quiet"), ToolBegan("1", "Bash", ""))
    for number in range(MAX_TOOLS + 50):
        feed(counts, a_job(), ToolBegan("1", f"mcp__{number}", ""))

    assert len(counts.of("one")) == MAX_TOOLS + 1
    assert counts.of("one")[OTHER] == ToolCount(50)
    assert len(counts.take_changed()) == MAX_TOOLS + 2
    assert list(counts.of("quiet")) == ["Bash"]
