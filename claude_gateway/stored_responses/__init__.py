"""Store responses of the OpenAI Responses API, and generate responses in the background."""
