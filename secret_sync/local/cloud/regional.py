"""Named objects by account and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANY_REGION: Final = "*"
"""The region of an object that every region's endpoint returns."""


class RegionalObject(Protocol):
    """A named object of an account and region."""

    name: str
    account: str
    region: str


_T = TypeVar("_T", bound=RegionalObject)


class RegionalStore(Generic[_T]):
    """Objects of one kind, in the order in which their names were first used."""

    def __init__(self) -> None:
        # (account, name) -> region -> thing.
        self._objects: dict[tuple[str, str], dict[str, _T]] = {}

    def find(self, account: str, region: str, name: str) -> _T | None:
        """Return what a call to a region's endpoint means.

        Args:
            account: Account id.
            region: `ANY_REGION` for an endpoint without a region, which finds those of any region.
            name: Of the thing.
        """
        regions = self._objects.get((account, name), {})
        found = regions.get(region) or regions.get(ANY_REGION)
        if found is None and region == ANY_REGION:
            return next(iter(regions.values()), None)
        return found

    def put(self, account: str, region: str, name: str, make: Callable[[], _T]) -> _T:
        """Return the thing of exactly that place, made if there was none."""
        regions = self._objects.setdefault((account, name), {})
        if region not in regions:
            regions[region] = make()
        return regions[region]

    def delete(self, thing: _T) -> None:
        """Forget a thing at once."""
        regions = self._objects[thing.account, thing.name]
        del regions[thing.region]
        if not regions:
            del self._objects[thing.account, thing.name]

    def __iter__(self) -> Iterator[_T]:
        for regions in self._objects.values():
            yield from regions.values()
