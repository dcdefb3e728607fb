"""What the steps of the demo have in common that stand in files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.demo_screen import DemoScreen
    from secret_sync.local.kubectl import Kubectl

_WITHIN: Final = "20s"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the demo.

    Attributes:
        kubectl: For the cluster.
        admin: Of the cloud.
        namespace: Where it is shown.
        screen: Where it is shown.
        apply: Applies and shows an example.
    """

    kubectl: Kubectl
    admin: CloudAdmin
    namespace: str
    screen: DemoScreen
    apply: Callable[[str], Awaitable[None]]

    async def wait_ready(self, what: str) -> None:
        """Wait until the condition of an object is good.

        Raises:
            LocalError: It is not in time.
        """
        await self.kubectl.run(
            *("wait", "--for=condition=Ready", what),
            *("-n", self.namespace, f"--timeout={_WITHIN}"),
        )
