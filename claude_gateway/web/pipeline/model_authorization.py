"""Step that finds the model of a request, and checks that the key may use it."""

from claude_gateway.model_catalog.catalog import model_not_allowed
from claude_gateway.web.context.client_request import ClientRequest


def authorize_model(client: ClientRequest, requested_name: str, *, check_budget: bool = True) -> str:
    """Return the model for the job of a request, and write it into the context of the request.

    Args:
        client: The request.
        requested_name: The name of the model in the request.
        check_budget: Whether to check the budget of the key, because the request will cost something.

    Raises:
        ApiError: 404 if the name is unknown, 403 if the key may not use the model, 429 if the key has used up its
            budget for today.
    """
    if check_budget:
        client.state.usage_recorder.check_key_budget(client.key)
    catalog, context = client.state.catalog, client.context
    context.resolved_model = catalog.resolve_ignoring_retirement(requested_name)
    context.authorized_model = catalog.current_model(context.resolved_model)
    if not catalog.is_allowed(client.key.models, context.authorized_model):
        raise model_not_allowed()
    context.requested_model = requested_name
    return context.authorized_model


def get_response_model_name(client: ClientRequest, requested_name: str) -> str:
    """Return the name of the model for the response.

    If the request contains a short name such as `sonnet`, return the full name of the model. Otherwise return the name
    in the request, because the client knows the model by this name.
    """
    is_short = client.state.catalog.is_short_name(requested_name)
    return client.context.authorized_model if is_short else requested_name
