"""Push refresh: an HTTP server that is told which KMS secrets have changed.

A request passes `limits` (how many) and `authentication` (who), then `bodies` reads which secrets
it names. The answer depends on nothing else, so it discloses nothing about what is synced.
Imported only with ``--refresh-bind-address``.
"""

from __future__ import annotations

from secret_sync.refresh.server import RefreshServer

__all__ = ["RefreshServer"]
