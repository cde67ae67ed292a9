"""Claude Code, the binary that the gateway itself runs."""

from claude_gateway.claude_code.binary import find_bundled_binary
from tests.clients.client import API_KEY, MODEL, ClientRun, Program
from tests.clients.programs.json_lines import parse_json_lines


def claude_code(run: ClientRun) -> Program:
    question = run.make_question(f'Read {{"file_path":"{run.note_path}"}}')
    tools = "Read,Write,Edit,Bash" if run.agent_options else "Read"
    output_flags = ("--output-format", "stream-json", "--include-partial-messages", "--verbose")
    return Program(
        (str(find_bundled_binary()), "-p", question.prompt, "--model", MODEL, "--allowedTools", tools, *output_flags),
        question,
        {
            "ANTHROPIC_BASE_URL": run.url,
            "ANTHROPIC_API_KEY": API_KEY,
            "CLAUDE_CONFIG_DIR": str(run.directory / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        },
        _parse_deltas,
    )


def _parse_deltas(output: str) -> list[str]:
    """Return the pieces of the last message: text before a tool call is not part of the reply."""
    pieces: list[str] = []
    for line in parse_json_lines(output):
        match line:
            case {"event": {"type": "message_start"}}:
                pieces.clear()
            case {"event": {"delta": {"type": "text_delta", "text": str(text)}}}:
                pieces.append(text)
    return pieces
