"""Difference between a rejected login and a model that is refused to it."""

import pytest

from workers.parsing.login_errors import concerns_only_model


@pytest.mark.parametrize(
    ("api_error", "parameters", "text", "expected"),
    [
        (None, None, "API Error: 403 the model is not allowed", True),
        (None, None, "API Error: 403 OAuth token has been revoked. Please obtain a new token.", False),
        ("provider_credentials", {"remedy": "model_access"}, "", True),
        ("provider_credentials", {"remedy": "refresh_credentials"}, "The security token is expired", False),
        ("provider_credentials", None, "User x is not authorized to perform: bedrock:InvokeModel", True),
        ("provider_credentials", "broken", "Permission 'predict' denied on resource 'x'", True),
        (["broken"], None, "", True),
    ],
)
def test_text_and_details_of_status_403_decide(
    api_error: object, parameters: object, text: str, expected: bool
) -> None:
    assert concerns_only_model(403, "authentication_failed", api_error, parameters, text) == expected
