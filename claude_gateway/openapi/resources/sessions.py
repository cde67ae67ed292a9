"""Descriptions of the operations with which clients list and delete sessions (`web/endpoints/sessions.py`)."""

from claude_gateway.openapi.spec import OperationSpec, Parameter, ResponseModel, ResponseSpec, Tag

SESSION_ID_PARAMETER = Parameter("id", "The id of the session, which the client chose.", example="project-123")


class SessionResponse(ResponseModel):
    """A session, which is a stored conversation of the API key. Times are in UTC, such as `2026-01-15T10:30:00Z`."""

    session_id: str
    created_at: str
    last_accessed: str
    message_count: int
    expires_at: str


class SessionListResponse(ResponseModel):
    """A list of the most recently used sessions of the API key. `total` is the number of all sessions of the key."""

    sessions: list[SessionResponse]
    total: int


class SessionStats(ResponseModel):
    """The numbers of active sessions, of expired sessions and of messages that are stored for the API key."""

    active_sessions: int
    expired_sessions: int
    total_messages: int


class SessionStatsResponse(ResponseModel):
    """The numbers of sessions of the API key, and the settings for the expiry and the deletion of sessions."""

    session_stats: SessionStats
    cleanup_interval_minutes: float
    default_ttl_hours: float


class SessionActionResponse(ResponseModel):
    """The response of the gateway after it deleted a session or a file. `message` is a sentence for people."""

    message: str


_SESSION = {
    "session_id": "project-123",
    "created_at": "2026-01-15T10:30:00Z",
    "last_accessed": "2026-01-15T11:15:00Z",
    "message_count": 8,
    "expires_at": "2026-01-15T12:15:00Z",
}
_STATS = {
    "session_stats": {"active_sessions": 5, "expired_sessions": 0, "total_messages": 45},
    "cleanup_interval_minutes": 5,
    "default_ttl_hours": 1,
}

LIST_SESSIONS = OperationSpec(
    Tag.SESSIONS,
    "List the sessions of the API key",
    {
        200: ResponseSpec(
            "The 1,000 most recently used sessions; `total` counts all.",
            SessionListResponse,
            {"sessions": [_SESSION], "total": 1},
        )
    },
)
GET_SESSION_STATS = OperationSpec(
    Tag.SESSIONS,
    "Count the sessions of the API key",
    {200: ResponseSpec("The counts.", SessionStatsResponse, _STATS)},
)
GET_SESSION = OperationSpec(
    Tag.SESSIONS,
    "Get a session",
    {200: ResponseSpec("The session.", SessionResponse, _SESSION)},
    parameters=(SESSION_ID_PARAMETER,),
    error_statuses=(400, 404),
)
DELETE_SESSION = OperationSpec(
    Tag.SESSIONS,
    "Delete a session and its files",
    {
        200: ResponseSpec(
            "The session is deleted.", SessionActionResponse, {"message": "Session project-123 deleted successfully"}
        )
    },
    parameters=(SESSION_ID_PARAMETER,),
    error_statuses=(400, 404, 409),
)
