"""Sources of one KMS secret, which are refreshed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secret_sync.sources.record import Record
    from secret_sync.sources.source import Source


class Groups:
    """Joins the sources that one identity reads of one secret.

    However the secret is spelt (name or ARN) and whichever stage or version is read: periodic
    refreshes of such sources happen together, at the shortest interval of any.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        # One source of each group. Its key is a number, since there is one for each secret.
        self._first: dict[int, Record] = {}

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._first)

    def join(self, record: Record) -> None:
        """Add a source that came into use."""
        first = self._first.setdefault(_key(record.source), record)
        if first is record:
            return
        if first.group is None:
            first.group = [first]
        first.group.append(record)
        record.group = first.group

    def leave(self, record: Record) -> None:
        """Remove a source that went out of use."""
        key = _key(record.source)
        if record.group is not None:
            record.group.remove(record)
        if self._first.get(key) is record:
            if record.group:
                self._first[key] = record.group[0]
            else:
                del self._first[key]


def followers(record: Record) -> list[Record]:
    """Return the others of the group that are to be refreshed with a source that is being called.

    Only a periodic refresh takes others along: not a call that somebody waits for, a retry, or one
    that follows itself.
    """
    follows, record.pulled = record.pulled, False
    if follows or record.waiters is not None or record.digest is None or record.error is not None:
        return []
    if record.tries or record.group is None:
        return []
    peers = [
        peer
        for peer in record.group
        if peer is not record
        and not peer.fetching
        and peer.digest is not None
        and peer.error is None
    ]
    for peer in peers:
        peer.pulled = True
    return peers


def _key(source: Source) -> int:
    # Of an ARN acs:kms:{region}:{account}:secret/{name} the name; a name has no slash before it.
    name = source.name.partition(":secret/")[2] if source.name.startswith("acs:") else source.name
    return hash((source.identity, source.provider, source.region, name))
