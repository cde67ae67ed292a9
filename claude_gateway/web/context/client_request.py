"""Class for a request with a valid API key. It holds the key, the headers and the query, but not the body."""

from collections.abc import Mapping
from dataclasses import dataclass

from claude_gateway.auth.models import ApiKey
from claude_gateway.auth.signing import HmacSigner
from claude_gateway.usage.record import RequestContext
from claude_gateway.web.context.state import AppState


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request with a valid key.

    Attributes:
        state: The services of the gateway.
        key: The key that the client sent, with the rights that the key had when the whole body had arrived.
        context: Data of the request for the log and the usage records. The pipeline adds the model to it.
        headers: The headers of the request.
        query: The query of the URL.
    """

    state: AppState
    key: ApiKey
    context: RequestContext
    headers: Mapping[str, str]
    query: Mapping[str, str]

    def create_signer(self) -> HmacSigner:
        """Return the signer for thinking that the client stores and later sends back."""
        return self.state.stored_responses.create_signer(self.key.id)
