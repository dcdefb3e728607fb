"""The demo's step with a Deployment, which restarts for a new value."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from secret_sync.local.demo_screen import seconds
from secret_sync.local.demo_step import Step

_OBJECT: Final = "aes/api-token"
_SECRET: Final = "shop-api-token"  # noqa: S105 - the name of a KMS secret
_DEPLOYMENT: Final = "deployment/shop"


class RestartStep(Step):
    """Shows a Deployment that reads its Secret at the start only."""

    async def show(self) -> None:
        """Show it.

        Raises:
            LocalError: It did not come true.
        """
        screen = self.screen
        screen.step("A Deployment restarts once the data of its Secret changed")
        await self.admin.put_secret(_SECRET, secrets.token_urlsafe(12))
        await self.apply("restart.yaml")
        await self.wait_ready(_OBJECT)
        screen.command("secret-sync", "local", "secret", "rotate", _SECRET)
        begun = asyncio.get_running_loop().time()
        screen.output(f"{_SECRET}: version {await self.admin.rotate(_SECRET)}")
        await self._run("wait", "--for=condition=Restarted", _OBJECT, "--timeout=60s")
        took = seconds(asyncio.get_running_loop().time() - begun)
        path = "{.spec.template.metadata.annotations}"
        await self._run("get", _DEPLOYMENT, f"--output=jsonpath={path}")
        screen.good(
            f"restarted {took} after the rotation: what is rotated together is waited for for 10 s"
        )
        await self._run("delete", _OBJECT, _DEPLOYMENT)

    async def _run(self, *arguments: str) -> None:
        command = (*arguments, "-n", self.namespace)
        self.screen.command("kubectl", *command)
        self.screen.output(await self.kubectl.run(*command))
