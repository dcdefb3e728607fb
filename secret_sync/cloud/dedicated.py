"""Trust for dedicated KMS gateways: only the private CA of their region.

The certificates are in ``private_cas.json``, which documents their origin.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import orjson

from secret_sync.errors import DefiniteError
from secret_sync.tls import client_context

PRIVATE_CAS: Final = Path(__file__).with_name("private_cas.json")
# Key of the only context if there is a user's bundle.
_ANY: Final = ""

_Outcome = ssl.SSLContext | DefiniteError


class DedicatedTrust:
    """The SSL contexts for dedicated gateways, each built when it is first needed.

    To be used on one event loop. Building a context takes tens of milliseconds, so it is done once
    in a thread, however many calls wait for it.
    """

    def __init__(self, cert_file: str = "") -> None:
        """Set up; reads nothing yet.

        Args:
            cert_file: The user's PEM bundle to trust instead for every region, or ``""``.
        """
        self._cert_file = cert_file
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._building: dict[str, asyncio.Task[_Outcome]] = {}

    async def context(self, region: str, *, what: str) -> ssl.SSLContext:
        """Return the context for the gateways of a region, always the same one.

        Args:
            region: ``""`` if it is not known.
            what: What is requested and where; error messages begin with it.

        Raises:
            DefiniteError: No private CA is known for the region (code ``UnknownRegionCA``), or
                the user's bundle cannot be read.
        """
        key = _ANY if self._cert_file else region
        if (context := self._contexts.get(key)) is not None:
            return context
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._build, key))
            self._building[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # A cancelled caller must not cancel the build for the others.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, DefiniteError):
            # A new error for each call: they are raised in several tasks.
            raise DefiniteError(f"{what}: {outcome.message}", code=outcome.code)
        return outcome

    def _finished(self, key: str, task: asyncio.Task[_Outcome]) -> None:
        del self._building[key]
        # A failure is not kept: the region may come from a tenant, and a bundle may be fixed.
        if not task.cancelled() and isinstance(context := task.result(), ssl.SSLContext):
            self._contexts[key] = context

    def _build(self, region: str) -> _Outcome:
        if self._cert_file:
            try:
                return client_context(ca_file=self._cert_file)
            except OSError as error:  # ssl.SSLError is one too
                return DefiniteError(f"cannot load the CA bundle {self._cert_file}: {error}")
        authorities = authorities_of(region)
        # A server may omit its intermediate, which is therefore trusted directly.
        return client_context(ca_data=authorities) if authorities else _unknown(region)


def authorities_of(region: str) -> str:
    """Return the root and the region's intermediate in PEM, ``""`` for an unknown region."""
    # Read for each region: most processes need none, and hardly any needs more than one.
    data = orjson.loads(PRIVATE_CAS.read_bytes())
    intermediate: str = data["regions"].get(region, "")
    return intermediate and data["root"] + intermediate


def _unknown(region: str) -> DefiniteError:
    if not region:
        return DefiniteError(
            "the private CA of a dedicated KMS gateway depends on its region, which is not"
            " known: write the key as an ARN, or start the controller with --region or"
            " ALIBABA_CLOUD_REGION_ID",
            code="UnknownRegionCA",
        )
    return DefiniteError(
        f"no private CA is known for dedicated KMS gateways in region {region}: download it from"
        " the KMS console and set SSL_CERT_FILE to its path",
        code="UnknownRegionCA",
    )
