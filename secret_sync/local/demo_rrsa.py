"""The demo's step without an AccessKey."""

from __future__ import annotations

from typing import Final

from secret_sync.local import playground, rrsa
from secret_sync.local.demo_step import Step
from secret_sync.local.errors import LocalError

EXAMPLE: Final = "rrsa/as-a-service-account.yaml"
_OBJECT: Final = "database-by-role"
_STORE: Final = "kms-by-role"
#: Those of examples/secret-store.yaml, which then has no AccessKey any more.
_OLD_STORE: Final = "kms"
_STS_CALLS: Final = frozenset({"AssumeRole", "AssumeRoleWithOIDC"})
#: Prefix of the ids of temporary AccessKeys.
_TEMPORARY: Final = "STS."


class RrsaStep(Step):
    """Shows a store that acts as a ServiceAccount."""

    async def show(self) -> None:
        """Show it; on a cluster that keeps its keys to itself, say so and do nothing.

        Raises:
            LocalError: It did not come true.
        """
        screen = self.screen
        screen.step("Without an AccessKey: the store acts as a ServiceAccount (RRSA)")
        try:
            role = await rrsa.trust_cluster(self.kubectl, self.admin, self.namespace)
        except LocalError as error:
            screen.note(f"skipped: {error}")
            return
        screen.output(f"{role} trusts ServiceAccount {self.namespace}/{rrsa.SERVICE_ACCOUNT}")
        key = f"secret/{playground.ACCESS_KEY_SECRET}"
        # The previous objects would only fail now.
        await self._run("delete", "aes", "--all")
        await self._run("delete", f"ass/{_OLD_STORE}", key)
        # All calls from here on are from this store: nothing else is polled any more.
        await self.admin.reset_counters()
        await self.apply(EXAMPLE)
        await self.wait_ready(f"aes/{_OBJECT}")
        await self.wait_ready(f"ass/{_STORE}")
        await self._run("get", "ass,aes,secrets")
        calls = await self._sts_calls()
        screen.good(
            f"synced with a token of the API server and {calls} call{'' if calls == 1 else 's'} "
            "of STS; no AccessKey is left"
        )

    async def _run(self, *arguments: str) -> None:
        command = (*arguments, "-n", self.namespace)
        self.screen.command("kubectl", *command)
        self.screen.output(await self.kubectl.run(*command))

    async def _sts_calls(self) -> int:
        """Count the calls, and check that none used a permanent AccessKey."""
        calls = await self.admin.calls()
        # Opening a session with a token uses no AccessKey.
        lasting = {
            call["action"]
            for call in calls
            if call["access_key"] and not call["access_key"].startswith(_TEMPORARY)
        }
        if lasting:
            raise LocalError(f"an AccessKey was used after all, for {', '.join(sorted(lasting))}")
        return sum(call["action"] in _STS_CALLS for call in calls)
