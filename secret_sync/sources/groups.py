"""Sources of one KMS secret, which are refreshed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secret_sync.sources.source import Source
    from secret_sync.sources.source_state import SourceState


class Groups:
    """Joins the sources that one identity reads of one secret.

    However the secret is spelt (name or ARN) and whichever stage or version is read: periodic
    refreshes of such sources happen together, at the shortest interval of any.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        # One source of each group. Its key is a number, since there is one for each secret.
        self._first: dict[int, SourceState] = {}

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._first)

    def join(self, state: SourceState) -> None:
        """Add a source that came into use."""
        first = self._first.setdefault(_key(state.source), state)
        if first is state:
            return
        if first.group is None:
            first.group = [first]
        first.group.append(state)
        state.group = first.group

    def leave(self, state: SourceState) -> None:
        """Remove a source that went out of use."""
        key = _key(state.source)
        if state.group is not None:
            state.group.remove(state)
        if self._first.get(key) is state:
            if state.group:
                self._first[key] = state.group[0]
            else:
                del self._first[key]


def take_followers(state: SourceState) -> list[SourceState]:
    """Return the other sources of the group, to be refreshed with one that is being called.

    Only a periodic refresh has followers: not a call for which a user waits, a retry, or a call
    that is itself a follower.
    """
    follows, state.refreshed_with_group = state.refreshed_with_group, False
    if follows or state.waiters is not None or state.digest is None or state.error is not None:
        return []
    if state.tries or state.group is None:
        return []
    peers = [
        peer
        for peer in state.group
        if peer is not state
        and not peer.fetching
        and peer.digest is not None
        and peer.error is None
    ]
    for peer in peers:
        peer.refreshed_with_group = True
    return peers


def _key(source: Source) -> int:
    # Of an ARN acs:kms:{region}:{account}:secret/{name} the name; a name has no slash before it.
    name = source.name.partition(":secret/")[2] if source.name.startswith("acs:") else source.name
    return hash((source.identity, source.provider, source.region, name))
