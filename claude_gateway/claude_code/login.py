"""What Claude Code says of its login. Pure."""

from collections.abc import Mapping
from typing import Any

from workers.settings import AuthMethod

_NO_LOGIN = (None, "", "none")


def reports_login(method: AuthMethod, account: Mapping[str, Any]) -> bool:
    """Presence, as the CLI reports it in its answer to `initialize`; an expired login shows at the first answer."""
    if method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
        return True  # the CLI leaves finding the cloud's credentials to the first request
    return any(account.get(source) not in _NO_LOGIN for source in ("tokenSource", "apiKeySource"))
