"""``secret-sync status``: show the status of ExternalSecrets and stores."""

from secret_sync.cli.status.command import main

__all__ = ["main"]
