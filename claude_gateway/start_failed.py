"""Why the gateway does not start."""


class StartFailed(Exception):
    """The gateway cannot start; the text is one line that says why and what to do."""
