"""What holds for every spec and every value, however strange."""

from __future__ import annotations

import json
import resource
import time
from typing import TYPE_CHECKING, Any, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse import INVALID_KEY, KEY_COLLISION, TOO_COSTLY, extract, is_quick
from secret_sync.parse.document import read_document
from secret_sync.parse.keys import key_problem
from secret_sync.parse.values import KeyText
from secret_sync.parse.yaml_document import read_yaml

if TYPE_CHECKING:
    from secret_sync.parse import ExtractionSpec

SECONDS: Final = 1.0
MIB: Final = 64
#: Stands in values of the seeds; no error may show it. Random enough for no message to have it.
CANARY: Final = "q7Zx-canary-51c"

#: The only codes whose messages name keys, which may hold the canary.
_NAMES_KEYS: Final = (INVALID_KEY, KEY_COLLISION, "DuplicateKey")


class BrokenError(AssertionError):
    """Something that must never happen has happened."""


def examine(spec: ExtractionSpec, data: bytes, *, leaks: bool = True) -> None:
    """Extract, and raise `BrokenError` or whatever `extract` must not raise.

    Args:
        spec: Any.
        data: Any.
        leaks: Whether errors are searched for the canary: not if the spec itself names it.
    """
    quick = is_quick(spec, data)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.thread_time()
    try:
        extracted = extract(spec, data)
    except DefiniteError as error:
        if leaks:
            _check_error(error, data)
        if quick and error.code == TOO_COSTLY:
            raise BrokenError("called quick, and found too costly") from error
        extracted = {}
    took = time.thread_time() - began
    if took > SECONDS:
        raise BrokenError(f"took {took:.1f} s")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    if grown > MIB:
        raise BrokenError(f"grew by {grown:.0f} MiB")
    for key in extracted:
        if key_problem(key):
            raise BrokenError(f"let the key {key!r} pass")
    if extracted and spec.extract and not spec.rules:
        _check_round_trip(extracted, data)


def _check_error(error: DefiniteError, data: bytes) -> None:
    if error.__cause__ is not None:
        raise BrokenError("a cause would be shown, and may quote the document")
    if CANARY not in error.message:
        return
    if error.code not in _NAMES_KEYS:
        raise BrokenError(f"an error shows a value: {error.message}")
    try:
        root = read_document(data).root
    except DefiniteError:
        return
    if not any(CANARY in key for key in _keys(root)):
        raise BrokenError(f"an error shows a value: {error.message}")


def _check_round_trip(extracted: dict[str, bytes], data: bytes) -> None:
    """What is written must be read as what it was."""
    document = read_document(data)
    assert isinstance(document.root, dict)
    for key, value in document.root.items():
        if not isinstance(value, (dict, list)):
            continue
        text = extracted[key].decode()
        if document.is_json:
            again = json.loads(text, parse_int=str, parse_float=str)
            expected = json.loads(data.decode("utf-8-sig"), parse_int=str, parse_float=str)[key]
        else:
            again, expected = read_yaml(text), _with_null_keys(value)
        if again != expected:
            raise BrokenError(f"{key!r} is written as what is read differently")


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in _keys(item))]
    return [key for item in value for key in _keys(item)] if isinstance(value, list) else []


def _with_null_keys(value: Any) -> Any:
    """An empty key that means null is written as such."""
    if isinstance(value, list):
        return [_with_null_keys(item) for item in value]
    if isinstance(value, dict):
        return {
            "null" if isinstance(key, KeyText) and not key else key: _with_null_keys(item)
            for key, item in value.items()
        }
    return value
