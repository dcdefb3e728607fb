"""What goes wrong in the playground's commands, in words for the person at the terminal."""

from __future__ import annotations


class LocalError(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""
