"""Functions of Sprig on lists. Each returns a new list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.conversions import int64_of
from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.printing import truth
from secret_sync.templates.sameness import identity
from secret_sync.templates.values import Missing, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

LISTS: Final = FunctionTable()


@LISTS.function("list tuple", rest=Kind.ANY)
def _list(rendering: Rendering, *items: Any) -> list[Any]:
    rendering.budget.add(len(items))
    return list(items)


@LISTS.function("append mustAppend push mustPush", Kind.LIST, Kind.ANY)
def _append(rendering: Rendering, items: list[Any], item: Any) -> list[Any]:
    rendering.budget.add(len(items) + 1)
    return [*items, item]


@LISTS.function("prepend mustPrepend", Kind.LIST, Kind.ANY)
def _prepend(rendering: Rendering, items: list[Any], item: Any) -> list[Any]:
    rendering.budget.add(len(items) + 1)
    return [item, *items]


@LISTS.function("first mustFirst", Kind.LIST)
def _first(_: Rendering, items: list[Any]) -> Any:
    return items[0] if items else Missing("first found nothing: the list is empty")


@LISTS.function("last mustLast", Kind.LIST)
def _last(_: Rendering, items: list[Any]) -> Any:
    return items[-1] if items else Missing("last found nothing: the list is empty")


@LISTS.function("rest mustRest", Kind.LIST)
def _rest(rendering: Rendering, items: list[Any]) -> list[Any]:
    rendering.budget.add(len(items))
    return items[1:]


@LISTS.function("initial mustInitial", Kind.LIST)
def _initial(rendering: Rendering, items: list[Any]) -> list[Any]:
    rendering.budget.add(len(items))
    return items[:-1]


@LISTS.function("reverse mustReverse", Kind.LIST)
def _reverse(rendering: Rendering, items: list[Any]) -> list[Any]:
    rendering.budget.add(len(items))
    return items[::-1]


@LISTS.function("compact mustCompact", Kind.LIST)
def _compact(rendering: Rendering, items: list[Any]) -> list[Any]:
    rendering.budget.add(len(items))
    return [item for item in items if truth(item)]


@LISTS.function("uniq mustUniq", Kind.LIST)
def _uniq(rendering: Rendering, items: list[Any]) -> list[Any]:
    budget = rendering.budget
    budget.add(len(items))
    first: dict[Any, Any] = {}
    for item in items:
        first.setdefault(identity(item, budget), item)
    return list(first.values())


@LISTS.function("without mustWithout", Kind.LIST, rest=Kind.ANY)
def _without(rendering: Rendering, items: list[Any], *omitted: Any) -> list[Any]:
    budget = rendering.budget
    budget.add(len(items))
    unwanted = {identity(item, budget) for item in omitted}
    return [item for item in items if identity(item, budget) not in unwanted]


@LISTS.function("has mustHas", Kind.ANY, Kind.ANY)
def _has(rendering: Rendering, needle: Any, items: Any) -> bool:
    if is_missing(items):
        return False
    if not isinstance(items, list):
        raise FunctionError(f"has needs a list to look into, this is {described(items)}")
    budget = rendering.budget
    wanted = identity(needle, budget)
    return any(identity(item, budget) == wanted for item in items)


@LISTS.function("slice mustSlice", Kind.LIST, rest=Kind.ANY)
def _slice(rendering: Rendering, items: list[Any], *bounds: Any) -> list[Any]:
    if not items:
        return []
    start = int64_of(bounds[0]) if bounds else 0
    end = int64_of(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise FunctionError(
            "slice needs bounds within the list, in this order; test its length with len"
        )
    rendering.budget.add(end - start)
    return items[start:end]


@LISTS.function("concat", rest=Kind.LIST)
def _concat(rendering: Rendering, *lists: list[Any]) -> list[Any]:
    rendering.budget.add(sum(map(len, lists)))
    return [item for items in lists for item in items]


@LISTS.function("chunk mustChunk", Kind.INT, Kind.LIST)
def _chunk(rendering: Rendering, size: int, items: list[Any]) -> list[list[Any]]:
    if size < 1:
        raise FunctionError("chunk needs a size of at least 1")
    rendering.budget.add(len(items) + len(items) // size + 1)
    return [items[start : start + size] for start in range(0, len(items), size)]
