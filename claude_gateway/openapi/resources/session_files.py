"""Descriptions of the operations for the files of a session (`web/endpoints/session_files.py`)."""

from claude_gateway.openapi.resources.sessions import SESSION_ID_PARAMETER, SessionActionResponse
from claude_gateway.openapi.spec import OperationSpec, Parameter, RequestBodySpec, ResponseModel, ResponseSpec, Tag

FILE_PATH_PARAMETER = Parameter(
    "path", "The path of the file in the workspace of the session.", example="report/table.csv"
)


class SessionFile(ResponseModel):
    """A file in the workspace of a session. `modified_at` is in seconds since the epoch."""

    path: str
    size_bytes: int
    modified_at: int


class SessionFileListResponse(ResponseModel):
    """A list of the files in the workspace of a session. `truncated` is true if the list omits some of the files."""

    files: list[SessionFile]
    total: int
    truncated: bool


class UploadFileResponse(ResponseModel):
    """The path and the size of a file that the client uploaded."""

    path: str
    size_bytes: int


_UPLOADED_FILE = {"path": "report/table.csv", "size_bytes": 1024}

LIST_FILES = OperationSpec(
    Tag.SESSIONS,
    "List the files in the workspace of a session",
    {
        200: ResponseSpec(
            "The files.",
            SessionFileListResponse,
            {
                "files": [{"path": "report/table.csv", "size_bytes": 1024, "modified_at": 1_768_471_800}],
                "total": 1,
                "truncated": False,
            },
        )
    },
    parameters=(SESSION_ID_PARAMETER,),
    error_statuses=(400, 403, 404, 409, 503, 507),
)
DOWNLOAD_FILE = OperationSpec(
    Tag.SESSIONS,
    "Download a file",
    {200: ResponseSpec("The content of the file.", content_type="application/octet-stream")},
    parameters=(SESSION_ID_PARAMETER, FILE_PATH_PARAMETER),
    error_statuses=(400, 403, 404, 409, 503, 507),
)
UPLOAD_FILE = OperationSpec(
    Tag.SESSIONS,
    "Upload a file",
    {
        200: ResponseSpec("The file replaced an existing one.", UploadFileResponse, _UPLOADED_FILE),
        201: ResponseSpec("The file was created.", UploadFileResponse, _UPLOADED_FILE),
    },
    description="If the session does not exist, the gateway creates it.",
    body=RequestBodySpec(None, content_type="application/octet-stream"),
    parameters=(SESSION_ID_PARAMETER, FILE_PATH_PARAMETER),
    error_statuses=(403, 404, 409, 503, 507),
)
DELETE_FILE = OperationSpec(
    Tag.SESSIONS,
    "Delete a file",
    {200: ResponseSpec("The file is deleted.", SessionActionResponse, {"message": "File deleted successfully"})},
    parameters=(SESSION_ID_PARAMETER, FILE_PATH_PARAMETER),
    error_statuses=(400, 403, 404, 409, 503, 507),
)
