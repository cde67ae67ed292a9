"""Usage counters of tools by key."""

from claude_gateway.builtin_tools.counters import MAX_TOOLS_PER_KEY, OTHER_TOOLS, ToolCounter, ToolCounters
from workers.core.events import Event, TextDelta, ThinkingDelta, ToolCallFinished, ToolCallStarted, ToolProgress
from workers.core.job import AgentOptions, ChatJob, Text, ToolProgressFormat, Turn


def create_job(key_id: str = "one", *, progress: ToolProgressFormat | None = None) -> ChatJob:
    return ChatJob(
        key_id, "m", (Turn("user", (Text("x"),)),), agent_options=AgentOptions(("Bash",), progress_format=progress)
    )


def feed(counters: ToolCounters, job: ChatJob, *events: ToolProgress) -> list[Event]:
    tool_events = counters.for_job(job)
    return [counted for event in events for counted in tool_events.feed(event)]


def test_counts_calls_by_tool_with_outcome_and_duration() -> None:
    times = iter([10.0, 12.5, 20.0, 20.5, 30.0])
    counters = ToolCounters(lambda: next(times))
    assert not feed(counters, create_job(), ToolCallStarted("1", "Bash", ""), ToolCallFinished("1", "ok"))
    feed(
        counters,
        create_job(),
        ToolCallStarted("2", "Bash", ""),
        ToolCallFinished("2", "failed"),
        ToolCallStarted("3", "Read", ""),
    )
    assert counters.counters_of("one") == {"Bash": ToolCounter(2, 1, 0, 3.0), "Read": ToolCounter(1)}


def test_counts_each_key_separately() -> None:
    counters = ToolCounters()
    feed(counters, create_job(), ToolCallStarted("1", "Bash", ""), ToolCallFinished("1", "denied"))
    assert counters.counters_of("one")["Bash"].denied_count == 1
    assert counters.counters_of("other") == {}


def test_emits_tool_progress_in_the_requested_format() -> None:
    tool_events = [ToolCallStarted("1", "Bash", "ls"), ToolCallFinished("1", "ok")]
    events = feed(ToolCounters(), create_job(progress="thoughts"), *tool_events)
    assert [event.text for event in events if isinstance(event, ThinkingDelta | TextDelta)] == ["Bash: ls\n"]
    assert feed(ToolCounters(), create_job(progress="calls"), *tool_events) == tool_events


def test_limits_the_number_of_counters_per_key() -> None:
    counters = ToolCounters()
    feed(counters, create_job("quiet"), ToolCallStarted("1", "Bash", ""))
    for number in range(MAX_TOOLS_PER_KEY + 50):
        feed(counters, create_job(), ToolCallStarted("1", f"mcp__{number}", ""))

    assert len(counters.counters_of("one")) == MAX_TOOLS_PER_KEY + 1
    assert counters.counters_of("one")[OTHER_TOOLS] == ToolCounter(50)
    assert len(counters.take_unsaved()) == MAX_TOOLS_PER_KEY + 2
    assert list(counters.counters_of("quiet")) == ["Bash"]
