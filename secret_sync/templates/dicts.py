"""Functions of Sprig on maps. ``set``, ``unset`` and the ones that merge change a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.printing import printed, truth
from secret_sync.templates.sameness import check_level, reaches
from secret_sync.templates.values import Missing, is_missing

if TYPE_CHECKING:
    from typing import TypeAlias

    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.rendering import Rendering

    Map: TypeAlias = dict[bytes, Any]

DICTS: Final = FunctionTable()

#: Keys, default and map.
_DIG_ARGUMENTS: Final = 3


@DICTS.function("dict", rest=Kind.ANY)
def _dict(rendering: Rendering, *pairs: Any) -> Map:
    budget = rendering.budget
    budget.add((len(pairs) + 1) // 2)
    values = [*pairs[1::2], b""]
    return {printed(key, budget): value for key, value in zip(pairs[::2], values, strict=False)}


@DICTS.function("get", Kind.MAP, Kind.STRING)
def _get(_: Rendering, mapping: Map, key: bytes) -> Any:
    return mapping.get(key, _NOT_FOUND)


_NOT_FOUND: Final = Missing(
    "get found no such key in the map; correct it, or test it with hasKey or default"
)


@DICTS.function("set", Kind.MAP, Kind.STRING, Kind.ANY)
def _set(rendering: Rendering, mapping: Map, key: bytes, value: Any) -> Map:
    _put("set", mapping, key, value, rendering.budget)
    return mapping


def _put(name: str, mapping: Map, key: bytes, value: Any, budget: TemplateBudget) -> None:
    if isinstance(value, (list, dict)) and reaches(value, mapping, budget):
        raise FunctionError(f"{name} would put the map into itself; use deepCopy")
    budget.add(1)
    mapping[key] = value


@DICTS.function("unset", Kind.MAP, Kind.STRING)
def _unset(_: Rendering, mapping: Map, key: bytes) -> Map:
    mapping.pop(key, None)
    return mapping


@DICTS.function("hasKey", Kind.MAP, Kind.STRING)
def _has_key(_: Rendering, mapping: Map, key: bytes) -> bool:
    return key in mapping


@DICTS.function("pluck", Kind.STRING, rest=Kind.MAP)
def _pluck(rendering: Rendering, key: bytes, *mappings: Map) -> list[Any]:
    rendering.budget.add(len(mappings))
    return [mapping[key] for mapping in mappings if key in mapping]


@DICTS.function("keys", rest=Kind.MAP)
def _keys(rendering: Rendering, *mappings: Map) -> list[bytes]:
    rendering.budget.add(sum(map(len, mappings)))
    return [key for mapping in mappings for key in sorted(mapping)]


@DICTS.function("values", Kind.MAP)
def _values(rendering: Rendering, mapping: Map) -> list[Any]:
    rendering.budget.add(len(mapping))
    return [mapping[key] for key in sorted(mapping)]


@DICTS.function("pick", Kind.MAP, rest=Kind.STRING)
def _pick(rendering: Rendering, mapping: Map, *keys: bytes) -> Map:
    rendering.budget.add(len(keys))
    return {key: mapping[key] for key in keys if key in mapping}


@DICTS.function("omit", Kind.MAP, rest=Kind.STRING)
def _omit(rendering: Rendering, mapping: Map, *keys: bytes) -> Map:
    rendering.budget.add(len(mapping))
    unwanted = frozenset(keys)
    return {key: value for key, value in mapping.items() if key not in unwanted}


@DICTS.function("dig", rest=Kind.ANY)
def _dig(_: Rendering, *arguments: Any) -> Any:
    if len(arguments) < _DIG_ARGUMENTS:
        raise FunctionError("dig needs at least three arguments: keys, a default and a map")
    *keys, default, value = arguments
    for key in keys:
        if not isinstance(key, bytes):
            raise FunctionError(f"dig needs keys that are strings, one is {described(key)}")
        if is_missing(value):
            return default
        if not isinstance(value, dict):
            raise FunctionError(f"dig needs a map to look into, this is {described(value)}")
        if key not in value:
            return default
        value = value[key]
    return value


@DICTS.function("merge mustMerge", Kind.MAP, rest=Kind.MAP)
def _merge(rendering: Rendering, mapping: Map, *others: Map) -> Map:
    for other in others:
        _merge_into("merge", mapping, other, rendering.budget, overwrite=False)
    return mapping


@DICTS.function("mergeOverwrite mustMergeOverwrite", Kind.MAP, rest=Kind.MAP)
def _merge_overwrite(rendering: Rendering, mapping: Map, *others: Map) -> Map:
    for other in others:
        _merge_into("mergeOverwrite", mapping, other, rendering.budget, overwrite=True)
    return mapping


def _merge_into(
    name: str,
    mapping: Map,
    other: Map,
    budget: TemplateBudget,
    *,
    overwrite: bool,
    level: int = 0,
) -> None:
    """Put into the map what it lacks or has empty, or all that the other one has."""
    check_level(level)
    for key, value in list(other.items()):
        budget.step()
        if is_missing(value) and not overwrite:
            continue
        present = mapping.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(name, present, value, budget, overwrite=overwrite, level=level + 1)
            if present:
                continue
        if overwrite or not truth(present):
            _put(name, mapping, key, value, budget)


@DICTS.function("deepCopy mustDeepCopy", Kind.ANY)
def _deep_copy(rendering: Rendering, value: Any) -> Any:
    return _copied(value, rendering.budget, 0)


def _copied(value: Any, budget: TemplateBudget, level: int) -> Any:
    if isinstance(value, (list, dict)):
        check_level(level)
        budget.add(len(value))
        if isinstance(value, list):
            return [_copied(item, budget, level + 1) for item in value]
        return {key: _copied(item, budget, level + 1) for key, item in value.items()}
    return value
