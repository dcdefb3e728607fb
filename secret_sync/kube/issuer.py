"""When a credential plugin is run: as its credentials end, or when they were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.backoff import Backoff
from secret_sync.clock import loop_time
from secret_sync.kube import kubeconfig

if TYPE_CHECKING:
    from secret_sync.kube.kubeconfig import Issued, Plugin

#: Seconds by which it is run before they end, so that no request is rejected meanwhile, and the
#: part of their time that this may be at most: some plugins answer the same until the end.
AHEAD: Final = 30.0
AHEAD_PART: Final = 0.25
#: Seconds between two runs, whatever it says of their end.
_PAUSE: Final = 1.0
#: Seconds after such a run in which a refusal makes no other: then it is not the credentials.
AFTER_REFUSAL: Final = 5.0
#: Seconds after failures, doubled each time.
BACKOFF: Final = Backoff(base=2.0, cap=60.0)
_NEVER: Final = float("inf")


class Issuer:
    """What a plugin issued last, and when it is to be run again.

    Attributes:
        issued: ``None`` before the first time.
        due: On the loop's clock.
    """

    def __init__(self) -> None:
        self._plugin: Plugin | None = None
        self._deaf_until = -_NEVER
        self._failures = 0
        self.issued: Issued | None = None
        self.due = _NEVER

    async def issue(self, plugin: Plugin, *, refused: bool) -> Issued:
        """Return the present credentials, or new ones of the plugin if they have to be renewed.

        Args:
            plugin: Another one than before is run at once.
            refused: Whether the API server rejected the present credentials.

        Raises:
            DefiniteError: It failed; the present credentials stay.
        """
        now = loop_time()
        wanted = now >= self.due or (refused and now >= self._deaf_until)
        if self.issued is not None and plugin == self._plugin and not wanted:
            return self.issued
        self._failures += 1
        try:
            issued = await kubeconfig.run_plugin(plugin)
            if issued.seconds > 0:
                self._failures = 0
        finally:
            now = loop_time()
            if refused:
                self._deaf_until = now + AFTER_REFUSAL
            self.due = now + BACKOFF.bound(self._failures)
        if issued.seconds > 0:
            ahead = min(AHEAD, AHEAD_PART * issued.seconds)
            self.due = now + max(_PAUSE, issued.seconds - ahead)
        self._plugin, self.issued = plugin, issued
        return issued
