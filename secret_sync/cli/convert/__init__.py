"""``secret-sync convert``: manifests of the External Secrets Operator into ours."""

from secret_sync.cli.convert.command import main

__all__ = ["main"]
