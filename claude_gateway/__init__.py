"""An HTTP gateway between programs that speak OpenAI, Anthropic or Gemini and a person's own Claude Code."""
