"""``secret-sync check``: mistakes in manifests, told before anything is applied."""

from secret_sync.cli.check.command import main

__all__ = ["main"]
