"""Settings and model catalog that the operator can reload while the gateway runs."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.rate_limit import RateLimiter
from claude_gateway.config import Settings
from claude_gateway.config.reload import plan_reload
from claude_gateway.model_catalog.catalog import ModelCatalog
from claude_gateway.observability.log.formatters import set_log_level

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveConfig:
    """The current settings and the current model catalog.

    Both are immutable objects. A reload replaces the whole object, so an object that a request already uses does not
    change.

    Attributes:
        settings: The current settings.
        catalog: The current models.
        list_reported_models: Returns the models that the CLI reports.
    """

    settings: Settings
    catalog: ModelCatalog
    list_reported_models: Callable[[], Iterable[Mapping[str, Any]]]

    def mark_model_rejected(self, model: str) -> None:
        """Record that the upstream has rejected a model as unknown. Later requests use the replacement of the model."""
        catalog = self.catalog.with_retired(model)
        if catalog is not self.catalog:
            self.catalog = catalog
            _log.warning("the upstream rejects the model %s; using %s instead", model, catalog.current_model(model))

    def reload(self, loaded_settings: Settings, authenticator: Authenticator, rate_limiter: RateLimiter) -> None:
        """Apply the settings that can change while the gateway runs, and log the changed settings that need a restart.

        Raises:
            ValueError: An alias names an unknown model. In this case, no setting has changed.
        """
        plan = plan_reload(self.settings, loaded_settings)
        settings = plan.settings
        try:
            catalog = ModelCatalog.from_cli_models(
                self.list_reported_models(), settings.default_model, settings.parsed_model_aliases, settings.auth_method
            )
        except ValueError as error:
            raise ValueError(f"MODEL_ALIASES: {error}") from None
        self.settings, self.catalog = settings, catalog
        authenticator.set_environment_key(
            settings.api_key.get_secret_value() if settings.api_key else None, settings.api_key_group
        )
        rate_limiter.set_limits(settings.requests_per_minute())
        set_log_level(settings.log_level)
        _log.warning("settings reloaded; changed: %s", ", ".join(plan.changed) or "none")
        if plan.needs_restart:
            _log.warning("settings that need a restart to change: %s", ", ".join(plan.needs_restart))
