"""``secret-sync status``: how ExternalSecrets and stores stand."""

from secret_sync.cli.status.command import main

__all__ = ["main"]
