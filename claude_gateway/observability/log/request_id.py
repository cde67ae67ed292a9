"""Context variable for the id of the current request. The log formatters add the id to log lines."""

from contextvars import ContextVar

# A background task inherits the id of the request that started the task.
CURRENT_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
