"""All settings of the gateway."""

from claude_gateway.config.settings import FixedSettings, Settings

__all__ = ["FixedSettings", "Settings"]
