"""An HTTP gateway that lets any OpenAI-speaking program use a person's own Claude Code."""
