"""Keeps the plans of objects that are reconciled again soon: a new one is, with each value."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    from secret_sync.controller.external_secret.planner import Plan
    from secret_sync.resources import ExternalSecret

#: Entries of all plans that are kept.
CAPACITY: Final = 32_000
#: What a plan of fewer entries counts for.
_LEAST: Final = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    """A plan with all that it was made of."""

    es: ExternalSecret
    basis: Hashable
    plan: Plan

    @property
    def size(self) -> int:
        entries = self.es.entries
        expressions = sum(len(entry.picks) + len(entry.rules) for entry in entries)
        return max(len(entries) + expressions, _LEAST)


class PlanCache:
    """Plans by the key of their object; the least recently used one goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: str, es: ExternalSecret, basis: Hashable) -> Plan | None:
        """Return the plan of an object, which may have another status by now.

        Args:
            key: Of the object.
            es: The object as it is now.
            basis: What else its plan is made of; equal for equal plans.
        """
        kept = self._kept.get(key)
        if kept is None or kept.basis != basis:
            return None
        if kept.es is not es:
            if kept.es.intent != es.intent:
                return None
            # The informer has given the former one up.
            self._kept[key] = replace(kept, es=es)
        self._kept.move_to_end(key)
        return kept.plan

    def keep(self, key: str, es: ExternalSecret, basis: Hashable, plan: Plan) -> None:
        """Keep a plan in place of the object's former one, unless nothing is to be written."""
        self.drop(key)
        if plan.problem is not None or plan.compiling:
            return
        kept = self._kept[key] = _Kept(es, basis, plan)
        self._size += kept.size
        while self._size > CAPACITY:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        """Forget the plan of an object."""
        if (kept := self._kept.pop(key, None)) is not None:
            self._size -= kept.size
