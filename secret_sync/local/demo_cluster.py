"""The demo's step with a ClusterExternalSecret: it follows the label of a namespace."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from secret_sync.local.demo_step import Step
from secret_sync.local.errors import LocalError

_OBJECT: Final = "clusterexternalsecret/secret-sync-demo"
_CHILD: Final = "externalsecret/shared"
_LABEL: Final = "secret-sync-demo"
_WITHIN: Final = 20
_POLL: Final = 0.2


class ClusterStep(Step):
    """Shows an ExternalSecret that comes and goes with a label."""

    async def show(self) -> None:
        """Show it.

        Raises:
            LocalError: It did not come true.
        """
        screen = self.screen
        screen.step("A ClusterExternalSecret: namespaces with a label get an ExternalSecret")
        await self.apply("cluster-external-secret.yaml")
        try:
            await self._kubectl("label", "namespace", self.namespace, f"{_LABEL}=yes")
            await self._wait_created()
            await self.wait_ready(_CHILD)
            await self._kubectl("get", "externalsecret,secret", "-n", self.namespace)
            await self._kubectl("get", _OBJECT)
            await self._kubectl("label", "namespace", self.namespace, f"{_LABEL}-")
            await self.kubectl.run(
                *("wait", "--for=delete", _CHILD), *("-n", self.namespace, f"--timeout={_WITHIN}s")
            )
        finally:
            # It belongs to no namespace, so nothing else takes it away.
            await self._kubectl("delete", _OBJECT)
        screen.good("with the label the ExternalSecret is gone")

    async def _wait_created(self) -> None:
        # `kubectl wait --for=create` is new in 1.31.
        get = ("get", _CHILD, "-n", self.namespace, "--ignore-not-found", "-o", "name")
        by = time.monotonic() + _WITHIN
        while not await self.kubectl.run(*get):
            if time.monotonic() > by:
                raise LocalError(f"{_CHILD} was not created within {_WITHIN} s")
            await asyncio.sleep(_POLL)

    async def _kubectl(self, *arguments: str) -> None:
        self.screen.command("kubectl", *arguments)
        self.screen.output(await self.kubectl.run(*arguments))
