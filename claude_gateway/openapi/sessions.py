"""What `web/sessions.py` and `web/files.py` answer."""

from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Operation, Parameter

ID = Parameter("id", "The session, as the caller called it.", example="project-123")
PATH = Parameter("path", "The file, below the session's directory.", example="report/table.csv")


class SessionAnswer(Answered):
    session_id: str
    created_at: str
    last_accessed: str
    message_count: int
    expires_at: str


class SessionsAnswer(Answered):
    sessions: list[SessionAnswer]
    total: int


class SessionStats(Answered):
    active_sessions: int
    expired_sessions: int
    total_messages: int


class SessionStatsAnswer(Answered):
    session_stats: SessionStats
    cleanup_interval_minutes: float
    default_ttl_hours: float


class MessageAnswer(Answered):
    """What was done, in words."""

    message: str


class SessionFile(Answered):
    path: str
    size: int
    modified_at: int


class SessionFilesAnswer(Answered):
    files: list[SessionFile]
    total: int
    truncated: bool


class StoredFileAnswer(Answered):
    path: str
    size: int


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
_STORED = {"path": "report/table.csv", "size": 1024}

OPERATIONS = (
    Operation(
        "get",
        "/v1/sessions",
        Group.SESSIONS,
        "The sessions of the calling key",
        {200: Answer("The thousand used last.", SessionsAnswer, {"sessions": [_SESSION], "total": 1})},
    ),
    Operation(
        "get",
        "/v1/sessions/stats",
        Group.SESSIONS,
        "How many there are",
        {200: Answer("Of the calling key.", SessionStatsAnswer, _STATS)},
    ),
    Operation(
        "get",
        "/v1/sessions/{id}",
        Group.SESSIONS,
        "One session",
        {200: Answer("The session.", SessionAnswer, _SESSION)},
        parameters=(ID,),
        errors=(400, 404),
    ),
    Operation(
        "delete",
        "/v1/sessions/{id}",
        Group.SESSIONS,
        "Forget a session, with its files",
        {200: Answer("It is forgotten.", MessageAnswer, {"message": "Session project-123 deleted successfully"})},
        parameters=(ID,),
        errors=(400, 404, 409),
    ),
    Operation(
        "get",
        "/v1/sessions/{id}/files",
        Group.SESSIONS,
        "The files that Claude works on in a session",
        {
            200: Answer(
                "The files.",
                SessionFilesAnswer,
                {
                    "files": [{"path": "report/table.csv", "size": 1024, "modified_at": 1_768_471_800}],
                    "total": 1,
                    "truncated": False,
                },
            )
        },
        parameters=(ID,),
        errors=(400, 403, 404, 409, 503, 507),
    ),
    Operation(
        "get",
        "/v1/sessions/{id}/files/{path}",
        Group.SESSIONS,
        "Fetch a file",
        {200: Answer("Its bytes.", content_type="application/octet-stream")},
        parameters=(ID, PATH),
        errors=(400, 403, 404, 409, 503, 507),
    ),
    Operation(
        "put",
        "/v1/sessions/{id}/files/{path}",
        Group.SESSIONS,
        "Put a file in",
        {
            200: Answer("It took the place of another.", StoredFileAnswer, _STORED),
            201: Answer("It is new.", StoredFileAnswer, _STORED),
        },
        description="The session need not exist.",
        body=Body(None, content_type="application/octet-stream"),
        parameters=(ID, PATH),
        errors=(403, 404, 409, 503, 507),
    ),
    Operation(
        "delete",
        "/v1/sessions/{id}/files/{path}",
        Group.SESSIONS,
        "Delete a file",
        {200: Answer("It is deleted.", MessageAnswer, {"message": "File deleted successfully"})},
        parameters=(ID, PATH),
        errors=(400, 403, 404, 409, 503, 507),
    ),
)
