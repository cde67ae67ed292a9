"""Claude Code, the binary that the gateway itself runs."""

from claude_gateway.claude_code.bundled_cli import bundled_cli
from tests.clients.programs.lines import lines
from tests.clients.visit import KEY, MODEL, Program, Visit


def claude_code(visit: Visit) -> Program:
    question = visit.question(f'Read {{"file_path":"{visit.note}"}}')
    tools = "Read,Write,Edit,Bash" if visit.agent else "Read"
    shown = ("--output-format", "stream-json", "--include-partial-messages", "--verbose")
    return Program(
        (str(bundled_cli()), "-p", question.prompt, "--model", MODEL, "--allowedTools", tools, *shown),
        question,
        {
            "ANTHROPIC_BASE_URL": visit.url,
            "ANTHROPIC_API_KEY": KEY,
            "CLAUDE_CONFIG_DIR": str(visit.folder / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        },
        _deltas,
    )


def _deltas(output: str) -> list[str]:
    """Of the last message alone: what was said before a tool's call is no answer."""
    pieces: list[str] = []
    for line in lines(output):
        match line:
            case {"event": {"type": "message_start"}}:
                pieces.clear()
            case {"event": {"delta": {"type": "text_delta", "text": str(text)}}}:
                pieces.append(text)
    return pieces
