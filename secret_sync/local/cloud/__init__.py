"""A local Alibaba Cloud that an unmodified client takes for the real one.

`LocalCloud` runs it in this process, `spawn` in one of its own; both give a `CloudInfo`, whose
`environment` is all that a client needs. `CloudAdmin` puts secrets and roles in and sets faults.

A request passes `server` (TLS, proxy) -> `gateway` (parse, `verifier`, faults) -> a service such as
`kms` or `sts`. A further service is a module with a `LocalService`, listed in `server.SERVICES`.
The `metadata` of a machine has neither services nor signatures, and its own listener.
"""

from __future__ import annotations

from secret_sync.local.cloud.client import AdminError, CloudAdmin
from secret_sync.local.cloud.info import CloudInfo
from secret_sync.local.cloud.server import LocalCloud
from secret_sync.local.cloud.spawn import SpawnedCloud, spawn

__all__ = ["AdminError", "CloudAdmin", "CloudInfo", "LocalCloud", "SpawnedCloud", "spawn"]
