"""What differs between installations: variables and `settings.env`, and the transports of `transports.toml`."""

from jlgc_mailer.settings.environment import FILE_NAME, PREFIX, Settings, default_home, read_settings
from jlgc_mailer.settings.transports import TRANSPORTS_FILE, read_routes

__all__ = ["FILE_NAME", "PREFIX", "TRANSPORTS_FILE", "Settings", "default_home", "read_routes", "read_settings"]
