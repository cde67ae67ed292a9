"""Decides whether Claude Code has a login, from the response of the CLI. No I/O."""

from collections.abc import Mapping
from typing import Any

from workers.core.settings import AuthMethod

_NO_LOGIN_VALUES = (None, "", "none")


def is_logged_in(method: AuthMethod, account: Mapping[str, Any]) -> bool:
    """Return whether the CLI has a login, according to its response to `initialize`.

    The response does not show that a login has expired. The gateway notices this only when the first job fails.

    Args:
        method: The configured authentication method.
        account: The `account` object of the response.
    """
    if method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
        return True  # the CLI looks for the cloud's credentials only when it sends the first request
    return any(account.get(source) not in _NO_LOGIN_VALUES for source in ("tokenSource", "apiKeySource"))
