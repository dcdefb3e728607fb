"""``secret-sync check``: find errors in manifests before they are applied."""

from secret_sync.cli.check.command import main

__all__ = ["main"]
