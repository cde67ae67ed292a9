"""Classes with which other modules describe the operations of the HTTP API for the OpenAPI document. Does no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from claude_gateway.dialects.common.dialect_name import DialectName

T = TypeVar("T")
# The type of a field that may be absent from a response but is never null.
OptionalField: TypeAlias = T | SkipJsonSchema[None]


class ResponseModel(BaseModel):
    """Base class for the schemas of responses. A response contains only the fields that its schema defines."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tag(StrEnum):
    """A group of operations in the OpenAPI document. The value is the name of the group in the document."""

    CHAT = "Chat"
    MODELS = "Models"
    SESSIONS = "Sessions"
    TOOLS = "Tools"
    MCP = "MCP"
    USAGE = "Usage"
    ADMIN = "Admin"
    HEALTH = "Health"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Description of one parameter of an operation.

    Attributes:
        name: The name of the parameter.
        description: A sentence that describes the parameter.
        location: The part of the request that contains the parameter.
        schema: The JSON Schema of the value.
        example: An example of the value; None if the document shows no example.
    """

    name: str
    description: str
    location: Literal["path", "query", "header"] = "path"
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: Any = None


@dataclass(frozen=True, slots=True)
class RequestBodySpec:
    """Description of the request body of an operation.

    Attributes:
        model: A type from which pydantic can make the JSON Schema of the body; None if the body is binary.
        examples: Examples of the body. The keys are the names of the examples in the document.
        content_type: The content type of the body.
    """

    model: Any
    examples: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """Description of the response that an operation sends with one HTTP status.

    Attributes:
        description: A sentence that describes the response.
        model: A type from which pydantic can make the JSON Schema of the response; None if the response is not JSON.
        example: An example of the JSON response; None if the document shows no example.
        content_type: The content type of a response that is not JSON.
        alternative_content_type: The content type of a text response that clients can request instead of JSON; "" if
            clients cannot request another format.
        stream_model: The type of the data in each server-sent event; None if the response is never a stream.
        stream_example: The data of a few events, which the document shows as an example of the stream.
    """

    description: str
    model: Any = None
    example: Any = None
    content_type: str = "application/json"
    alternative_content_type: str = ""
    stream_model: Any = None
    stream_example: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class OperationSpec:
    """Description of one operation, without its HTTP method and its path. The route table contains these two.

    Attributes:
        tag: The group in which the document lists the operation.
        summary: One line that describes the operation.
        responses: The descriptions of responses by status. They are the successful responses, and the error responses
            that do not have the common format of errors.
        description: Further sentences that describe the operation; "" if the summary says everything.
        body: The description of the request body; None if the operation has no request body.
        parameters: The descriptions of the parameters in the path, the query and the headers.
        error_statuses: The error statuses that the builder of the document does not add by itself. The builder adds
            401, 403, 429 and 500 to each operation that requires an API key. It adds 400, 408, 413 and 415 to each
            operation with a request body, and also 422 if the error responses are in a dialect of OpenAI.
        path: The path that the document shows; "" if the document shows the path in the route table.
    """

    tag: Tag
    summary: str
    responses: Mapping[int, ResponseSpec]
    description: str = ""
    body: RequestBodySpec | None = None
    parameters: tuple[Parameter, ...] = ()
    error_statuses: tuple[int, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of the HTTP API. An operation has one HTTP method and one path.

    Attributes:
        method: The HTTP method in lower case.
        path: The path, with its parameters in braces.
        spec: The description of the operation.
        error_dialect: The dialect of the error responses; None if the dialect depends on the client.
        needs_key: Whether a client must send an API key.
    """

    method: str
    path: str
    spec: OperationSpec
    error_dialect: DialectName | None
    needs_key: bool
