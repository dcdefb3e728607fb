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
#: Of examples/secret-store.yaml, which has no AccessKey to use any more.
_OLD_STORE: Final = "kms"
_STS_CALLS: Final = frozenset({"AssumeRole", "AssumeRoleWithOIDC"})
#: How the ids of keys begin that end by themselves.
_TEMPORARY: Final = "STS."
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
        """Show it; on a cluster that keeps its keys to itself, say so and do nothing.

        Raises:
            LocalError: It did not come true.
        """
        screen = self._screen
        screen.step("Without an AccessKey: the store acts as a ServiceAccount (RRSA)")
        try:
            role = await rrsa.trust_cluster(self._kubectl, self._admin, self._namespace)
        except LocalError as error:
            screen.note(f"left out: {error}")
            return
        screen.output(f"{role} trusts ServiceAccount {self._namespace}/{rrsa.SERVICE_ACCOUNT}")
        key = f"secret/{playground.ACCESS_KEY_SECRET}"
        # What was shown before would only fail now.
        await self._run("delete", "aes", "--all")
        await self._run("delete", f"ass/{_OLD_STORE}", key)
        # What is called from here on is this store's doing: nothing else is polled any more.
        await self._admin.reset_counters()
        await self._apply(EXAMPLE)
        await self._wait(f"aes/{_OBJECT}")
        await self._wait(f"ass/{_STORE}")
        await self._run("get", "ass,aes,secrets")
        calls = await self._sts_calls()
        screen.good(
            f"synced with a token of the API server and {calls} call{'' if calls == 1 else 's'} "
            "of STS; no AccessKey is left"
        )

    async def _wait(self, what: str) -> None:
        await self._kubectl.run(
            *("wait", "--for=condition=Ready", what, "-n", self._namespace, f"--timeout={_WITHIN}")
        )

    async def _run(self, *arguments: str) -> None:
        command = (*arguments, "-n", self._namespace)
        self._screen.command("kubectl", *command)
        self._screen.output(await self._kubectl.run(*command))

    async def _sts_calls(self) -> int:
        """Count them, and see that no call was made with a key that lasts."""
        calls = await self._admin.calls()
        # Who opens a session by a token gives no key at all.
        lasting = {
            call["action"]
            for call in calls
            if call["access_key"] and not call["access_key"].startswith(_TEMPORARY)
        }
        if lasting:
            raise LocalError(f"an AccessKey was used after all, for {', '.join(sorted(lasting))}")
        return sum(call["action"] in _STS_CALLS for call in calls)
