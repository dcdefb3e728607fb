"""``secret-sync diff``: show what the controller would write."""

from secret_sync.cli.diff.command import main

__all__ = ["main"]
