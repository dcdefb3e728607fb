"""``secret-sync release``: Secrets that outlive their ExternalSecrets."""

from secret_sync.cli.release.command import main

__all__ = ["main"]
