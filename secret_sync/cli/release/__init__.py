"""``secret-sync release``: keep Secrets when their ExternalSecrets are deleted."""

from secret_sync.cli.release.command import main

__all__ = ["main"]
