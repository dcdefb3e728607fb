"""Errors of the control plane, with messages for its user."""

from __future__ import annotations


class ControlPlaneError(Exception):
    """A binary could not be had, or a process did not come up; the message says what to do."""


class CancelledStartError(ControlPlaneError):
    """The caller gave up while a build or a start was under way."""
