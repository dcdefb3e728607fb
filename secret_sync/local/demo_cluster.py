"""The demo's step with a ClusterExternalSecret: it follows the label of a namespace."""

from __future__ import annotations

from typing import Final

from secret_sync.local.demo_step import Step

_OBJECT: Final = "clusterexternalsecret/secret-sync-demo"
_CHILD: Final = "externalsecret/shared"
_LABEL: Final = "secret-sync-demo"


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
            await self._wait("create", _CHILD)
            await self.wait_ready(_CHILD)
            await self._kubectl("get", "externalsecret,secret", "-n", self.namespace)
            await self._kubectl("get", _OBJECT)
            await self._kubectl("label", "namespace", self.namespace, f"{_LABEL}-")
            await self._wait("delete", _CHILD)
        finally:
            # It belongs to no namespace, so nothing else takes it away.
            await self._kubectl("delete", _OBJECT)
        screen.good("with the label the ExternalSecret is gone")

    async def _wait(self, what: str, child: str) -> None:
        await self.kubectl.run(
            *("wait", f"--for={what}", child), *("-n", self.namespace, "--timeout=20s")
        )

    async def _kubectl(self, *arguments: str) -> None:
        self.screen.command("kubectl", *arguments)
        self.screen.output(await self.kubectl.run(*arguments))
