"""The plugin's settings and secrets, which its operator gives in plugin.toml."""

from . import host


def get(key: str, default: str | None = None) -> str | None:
    """The setting or secret of this name, which is always text."""
    value = host.config_get(key)
    return default if value is None else value


def all() -> dict[str, str]:
    """Every setting; secrets are read by name alone."""
    return host.config_all()
