"""A local Alibaba Cloud that an unmodified client takes for the real one.

`LocalCloud` runs it in this process, `spawn` in one of its own; both give a `CloudInfo`, whose
`environment` is all that a client needs. `CloudAdmin` puts secrets and roles in and sets faults.

A request passes `server` (TLS, proxy) -> `gateway` (parse, `verifier`, faults) -> a room such as
`kms` or `sts`. A further service is a module with a `Room`, entered in `server.ROOMS`. The
`metadata` of a machine has neither rooms nor signatures, and a listener of its own.
"""

from __future__ import annotations

from secret_sync.local.cloud.client import AdminError, CloudAdmin
from secret_sync.local.cloud.info import CloudInfo
from secret_sync.local.cloud.server import LocalCloud
from secret_sync.local.cloud.spawn import SpawnedCloud, spawn

__all__ = ["AdminError", "CloudAdmin", "CloudInfo", "LocalCloud", "SpawnedCloud", "spawn"]
