"""What can go wrong with the control plane, in words for the person who started it."""

from __future__ import annotations


class ControlPlaneError(Exception):
    """A binary could not be had, or a process did not come up; the message says what to do."""


class CancelledStartError(ControlPlaneError):
    """The caller gave up while a build or a start was under way."""
