"""Events of KMS, as EventBridge posts them to an HTTP target when a secret changes.

They have the fields that docs/push-refresh.md lists, with the pages of Alibaba Cloud that
describe them. A target that does not answer with 2xx is tried again, as often as there.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from secret_sync.local.cloud.regional import ANY_REGION

if TYPE_CHECKING:
    from secret_sync.local.cloud.store import Secret

TOKEN_HEADER: Final = "x-eventbridge-signature-token"  # noqa: S105 - the name of a header
#: Retries of "BACKOFF_RETRY", and the seconds before each: there 10 to 20.
_RETRIES: Final = 3
_PAUSE: Final = (0.2, 0.4)
_REGION: Final = "cn-hangzhou"


@dataclass(frozen=True, slots=True)
class EventTarget:
    """Where events are posted.

    Attributes:
        url: `""` for nowhere.
        token: Sent with each.
        drop: Share of the events that are lost.
        duplicate: Share of the events that are sent twice.
    """

    url: str = ""
    token: str = ""
    drop: float = 0.0
    duplicate: float = 0.0

    def __repr__(self) -> str:
        return f"EventTarget({self.url!r})"


class EventBus:
    """Posts an event for each new version of a secret.

    Attributes:
        target: Where it posts.
        counts: Of the events that were posted, dropped, and given up.
    """

    def __init__(self) -> None:
        self.target = EventTarget()
        self.counts = {"posted": 0, "dropped": 0, "failed": 0}
        self._session: aiohttp.ClientSession | None = None
        self._posting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Drop the events that are on their way."""
        for task in self._posting:
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def changed(self, secret: Secret, *, rotated: bool) -> None:
        """Post the event of a change."""
        target = self.target
        if not target.url:
            return
        if random.random() < target.drop:  # noqa: S311 - a fault, protects nothing
            self.counts["dropped"] += 1
            return
        body = orjson.dumps(_rotation(secret) if rotated else _call(secret))
        twice = random.random() < target.duplicate  # noqa: S311 - as above
        for _ in range(1 + twice):
            task = asyncio.get_running_loop().create_task(self._post(target, body))
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)

    async def _post(self, target: EventTarget, body: bytes) -> None:
        if self._session is None:
            # Not through the proxy that the environment names.
            timeout = aiohttp.ClientTimeout(total=5)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        headers = {TOKEN_HEADER: target.token, "Content-Type": "application/json;charset=utf-8"}
        for _ in range(1 + _RETRIES):
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.post(target.url, data=body, headers=headers) as answer:
                    if answer.ok:
                        self.counts["posted"] += 1
                        return
            await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311 - spreads load
        self.counts["failed"] += 1


class EventAdmin:
    """Operations on where events are posted."""

    def __init__(self, events: EventBus) -> None:
        self._events = events

    def set_event_target(
        self, url: str = "", *, token: str = "", drop: float = 0.0, duplicate: float = 0.0
    ) -> None:
        """Post events from now on: see `EventTarget`; nowhere without a URL."""
        self._events.target = EventTarget(url, token, drop, duplicate)

    def events(self) -> dict[str, int]:
        """Return how many events were posted, dropped, and given up."""
        return dict(self._events.counts)


def _rotation(secret: Secret) -> dict[str, Any]:
    """Return the event of CloudMonitor about a managed secret."""
    arn = f"acs:kms:{_region_of(secret)}:{secret.account}:secret/{secret.name}"
    return _envelope(
        secret,
        "kms:CloudMonitor:Secret[RotateSecret:Success]",
        {
            "product": "KMS",
            "eventTime": datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "+0000",
            "level": "INFO",
            "name": "Secret:RotateSecret:Success",
            "regionId": _region_of(secret),
            "resourceId": arn,
            "status": "Normal",
            "content": {
                "eventId": str(uuid.uuid4()),
                "secretName": secret.name,
                "secretType": secret.type,
                "RotationEntityArn": arn,
                "rotationStatus": "Success",
            },
        },
    )


def _call(secret: Secret) -> dict[str, Any]:
    """Return the event of ActionTrail about a call, which never has the value."""
    return _envelope(
        secret,
        "kms:ActionTrail:ApiCall",
        {
            "eventId": str(uuid.uuid4()),
            "eventVersion": 1,
            "eventRW": "Write",
            "eventType": "ApiCall",
            "eventName": "PutSecretValue",
            "serviceName": "Kms",
            "acsRegion": _region_of(secret),
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "requestParameters": {"SecretName": secret.name},
            "referencedResources": {"ACS::KMS::Secret": [secret.name]},
        },
    )


def _region_of(secret: Secret) -> str:
    return _REGION if secret.region == ANY_REGION else secret.region


def _envelope(secret: Secret, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    region = _region_of(secret)
    return {
        "id": str(uuid.uuid4()),
        "source": "acs.kms",
        "specversion": "1.0",
        "type": kind,
        "datacontenttype": "application/json;charset=utf-8",
        "subject": f"acs:kms:{region}:{secret.account}:secret/{secret.name}",
        "time": datetime.now(UTC).isoformat(),
        "aliyunaccountid": secret.account,
        "aliyunregionid": region,
        "aliyuneventbusname": "default",
        "data": data,
    }
