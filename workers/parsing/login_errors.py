"""Decides whether the upstream rejected a login, or only refuses one model to it. No I/O.

CLI 2.1.332 reports almost each status 403 of the upstream as `authentication_failed`, also if the login lacks only the
model of the request. So the type of the error alone does not decide.
"""

from collections.abc import Mapping
from typing import Any

# The types of errors of the CLI that concern the login itself, whatever the status is.
_LOGIN_ERROR_TYPES = ("oauth_org_not_allowed", "billing_error", "account_on_hold", "verification_required")
# The more exact names of errors that concern the login itself.
LOGIN_API_ERRORS = (
    "api_key_auth_disabled",
    "org_disabled_credential",
    "stored_login_refused",
    "invalid_credential_header",
)
# Bedrock and Vertex reject an expired login and a model without access with the same status. These texts of their
# responses show that only the model is refused.
_PROVIDER_MODEL_TEXTS = ("is not authorized to perform", "denied on resource")
# The text of a response that rejects the login.
_REVOKED_TEXT = "has been revoked"


def concerns_only_model(status: object, error_type: str, api_error: object, parameters: object, text: str) -> bool:
    """Return whether the upstream refused only the model of the request, and would accept the login for other models.

    Args:
        status: The status of the upstream's response.
        error_type: The type of the error, from the assistant frame of the CLI.
        api_error: The more exact name of the error, or None.
        parameters: The details of `api_error`, or None.
        text: The text of the error.
    """
    if status != 403 or error_type in _LOGIN_ERROR_TYPES or api_error in LOGIN_API_ERRORS:
        return False
    if api_error == "provider_credentials":
        details: Mapping[str, Any] = parameters if isinstance(parameters, dict) else {}
        return details.get("remedy") == "model_access" or any(part in text for part in _PROVIDER_MODEL_TEXTS)
    return _REVOKED_TEXT not in text
