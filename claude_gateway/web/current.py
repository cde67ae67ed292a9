"""What a running gateway can be told anew: its settings, and the models that they name."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.limits import Limits
from claude_gateway.config import Settings
from claude_gateway.config.renewal import renewal
from claude_gateway.log.lines import speak_at
from claude_gateway.models.catalogue import Catalogue

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Current:
    """Two frozen things, each put in another's place as a whole: a request that has one keeps it to its end. `reported`
    are the models that the CLI knows of."""

    settings: Settings
    catalogue: Catalogue
    reported: Callable[[], Iterable[Mapping[str, Any]]]

    def refused(self, model: str) -> None:
        """The upstream does not know this model, or not any more."""
        catalogue = self.catalogue.without(model)
        if catalogue is not self.catalogue:
            self.catalogue = catalogue
            _log.warning("the upstream refuses %s; from now on %s answers for it", model, catalogue.living(model))

    def renew(self, read: Settings, key_ring: KeyRing, limits: Limits) -> None:
        """Take over what can change live, and name in the log what cannot. Raises `ValueError` at an alias for no
        model; then nothing has changed."""
        renewed = renewal(self.settings, read)
        settings = renewed.settings
        try:
            catalogue = Catalogue.of(self.reported(), settings.default_model, settings.aliases, settings.auth_method)
        except ValueError as error:
            raise ValueError(f"MODEL_ALIASES: {error}") from None
        self.settings, self.catalogue = settings, catalogue
        key_ring.renew(settings.api_key.get_secret_value() if settings.api_key else None)
        limits.renew(settings.per_minute())
        speak_at(settings.log_level)
        _log.warning("settings were read again; changed: %s", ", ".join(renewed.changed) or "none")
        if renewed.after_restart:
            _log.warning("these take a restart to change: %s", ", ".join(renewed.after_restart))
