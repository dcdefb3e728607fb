"""The demo's step without an AccessKey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.local import playground, rrsa
from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.demo_screen import Screen
    from secret_sync.local.kubectl import Kubectl

EXAMPLE: Final = "rrsa/as-a-service-account.yaml"
_OBJECT: Final = "database-by-role"
_STORE: Final = "kms-by-role"
_CALL: Final = "AssumeRoleWithOIDC"
_WITHIN: Final = "20s"


class RrsaStep:
    """Shows a store that acts as a ServiceAccount.

    Args:
        kubectl: For the cluster.
        admin: Of the cloud.
        namespace: Where it is shown.
        screen: Where it is told.
        apply: Applies an example, telling so.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        admin: CloudAdmin,
        namespace: str,
        screen: Screen,
        apply: Callable[[str], Awaitable[None]],
    ) -> None:
        self._kubectl = kubectl
        self._admin = admin
        self._namespace = namespace
        self._screen = screen
        self._apply = apply

    async def show(self) -> None:
        """Show it; on a cluster that keeps its keys to itself, say so and do nothing."""
        screen = self._screen
        screen.step("Without an AccessKey: the store acts as a ServiceAccount (RRSA)")
        try:
            role = await rrsa.trust_cluster(self._kubectl, self._admin, self._namespace)
        except LocalError as error:
            screen.note(f"left out: {error}")
            return
        screen.output(f"{role} trusts ServiceAccount {self._namespace}/{rrsa.SERVICE_ACCOUNT}")
        await self._delete_access_key()
        before = await self._calls()
        await self._apply(EXAMPLE)
        await self._wait(f"aes/{_OBJECT}")
        await self._wait(f"ass/{_STORE}")
        await self._run("get", f"ass/{_STORE}", f"aes/{_OBJECT}")
        calls = await self._calls() - before
        screen.good(
            f"synced with a token of the API server and {calls} call of STS; no AccessKey is left"
            if calls == 1
            else f"synced with a token of the API server and {calls} calls of STS"
        )

    async def _delete_access_key(self) -> None:
        await self._run("delete", "secret", playground.ACCESS_KEY_SECRET)

    async def _wait(self, what: str) -> None:
        await self._kubectl.run(
            *("wait", "--for=condition=Ready", what, "-n", self._namespace, f"--timeout={_WITHIN}")
        )

    async def _run(self, *arguments: str) -> None:
        command = (*arguments, "-n", self._namespace)
        self._screen.command("kubectl", *command)
        self._screen.output(await self._kubectl.run(*command))

    async def _calls(self) -> int:
        actions = (await self._admin.counters())["actions"]
        return int(actions.get(_CALL, 0))
