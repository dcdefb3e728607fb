"""The settings of `secret-sync run`: flags, environment variables, defaults."""

from __future__ import annotations

from secret_sync.settings.model import (
    BindAddress,
    LogFormat,
    LogLevel,
    OwnIdentity,
    ProxySettings,
    Settings,
    UsageError,
)
from secret_sync.settings.parse import add_flags, build_settings, parse_run_arguments
from secret_sync.settings.values import parse_duration

__all__ = [
    "BindAddress",
    "LogFormat",
    "LogLevel",
    "OwnIdentity",
    "ProxySettings",
    "Settings",
    "UsageError",
    "add_flags",
    "build_settings",
    "parse_duration",
    "parse_run_arguments",
]
