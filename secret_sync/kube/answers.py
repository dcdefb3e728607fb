"""The boundary that every answer of the API server passes before anybody reads it.

Proxies, aggregated servers and servers on their way up answer with all sorts of things under
HTTP 200. What is not an object, or is malformed in a field that is read here, is a fault of
the server that passes: the same request may be answered properly later.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from secret_sync.kube.errors import ApiUnavailableError, error_of_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

_WORDS: Final = {str: "a string", int: "a number", dict: "an object", list: "a list"}

_METADATA: Final = {
    "namespace": str,
    "generation": int,
    "deletionTimestamp": str,
    "labels": dict,
    "annotations": dict,
    "finalizers": list,
    "ownerReferences": list,
    "managedFields": list,
}
_IDENTITY: Final = ("name", "uid", "resourceVersion")
_SECTIONS: Final = {"spec": dict, "status": dict, "data": dict}
_MANAGED: Final = {
    "manager": str,
    "operation": str,
    "subresource": str,
    "fieldsV1": dict,
}
_FIELDS: Final = {"f:data": dict, "f:metadata": dict}
_METADATA_FIELDS: Final = {"f:annotations": dict}


class Answer(Enum):
    """What a request is answered with."""

    OBJECT = auto()
    """One object, or its metadata, as it is stored."""
    LIST = auto()
    """A collection of objects, each of which is still to be checked."""
    ANY = auto()
    """Something else, or nothing that is read: any JSON object will do."""


def read_answer(body: bytes, expected: Answer, action: str) -> dict[str, Any]:
    """Return the JSON object that a request was answered with.

    Args:
        body: The answer.
        expected: Its form.
        action: What was asked (``GET /api/v1/...``), for the message.

    Raises:
        ApiUnavailableError: It is something else.
        ApiError: It is a refusal, in spite of its HTTP status.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise _malformed(action, "it is not a JSON object")
    if expected is Answer.ANY:
        return value
    if value.get("kind") == "Status":
        raise error_of_status(action, value)
    if expected is Answer.LIST:
        return _check_list(value, action)
    check_fields(value, _SECTIONS, action)
    return check_object(value, action)


def check_object(value: Any, action: str) -> dict[str, Any]:
    """Return an object whose metadata are known to be sound.

    The rest is for its converter.

    Raises:
        ApiUnavailableError: It is malformed.
    """
    found = _object(value, action, "the event or item")
    metadata = found.get("metadata")
    if not isinstance(metadata, dict):
        raise _malformed(action, "it has no metadata")
    for field in _IDENTITY:
        text = metadata.get(field)
        if type(text) is not str or not text:
            raise _malformed(action, f"it has no {field}")
    check_fields(metadata, _METADATA, action)
    for field in ("labels", "annotations"):
        if (texts := metadata.get(field)) and not _all_text(texts.values()):
            raise _malformed(action, f"a value of {field} is not a string")
    if (texts := metadata.get("finalizers")) and not _all_text(texts):
        raise _malformed(action, "a finalizer is not a string")
    for reference in metadata.get("ownerReferences") or ():
        _check_text(_object(reference, action, "ownerReferences"), "uid", action)
    for entry in metadata.get("managedFields") or ():
        _check_managed(entry, action)
    return found


def checked(read: Callable[[dict[str, Any]], T], action: str) -> Callable[[dict[str, Any]], T]:
    """Return a reader of a list's items to which one that is malformed is a malformed answer."""
    return lambda value: read(check_object(value, action))


def check_version(value: Any, action: str) -> str:
    """Return the resource version of an object or a collection.

    Raises:
        ApiUnavailableError: It has none.
    """
    metadata = _object(value, action, "the event or list").get("metadata")
    return _check_text(_object(metadata, action, "metadata"), "resourceVersion", action)


def check_fields(value: Mapping[str, Any], types: Mapping[str, type], action: str) -> None:
    """Check that fields, where they are present and not null, are of the type that is read.

    Raises:
        ApiUnavailableError: One is not.
    """
    for field, wanted in types.items():
        found = value.get(field)
        # Not by isinstance: to Python a boolean is a number. JSON has no subclasses.
        if found is not None and type(found) is not wanted:
            raise _malformed(action, f"{field} is not {_WORDS[wanted]}")


def section(value: Mapping[str, Any], field: str, action: str) -> dict[str, Any]:
    """Return a part of an answer that is an object; an empty one where it is absent or null.

    Raises:
        ApiUnavailableError: It is something else.
    """
    found = value.get(field)
    return {} if found is None else _object(found, action, field)


def objects_at(value: Mapping[str, Any], field: str, action: str) -> list[dict[str, Any]]:
    """Return a part of an answer that is a list of objects; an empty one where it is absent.

    Raises:
        ApiUnavailableError: It is something else.
    """
    found = value.get(field)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _malformed(action, f"{field} is not a list")
    return [_object(item, action, field) for item in found]


def converted(convert: Callable[[dict[str, Any]], T], value: dict[str, Any], action: str) -> T:
    """Return what a converter makes of an object whose inside nothing has checked.

    Raises:
        ApiUnavailableError: The converter cannot read it.
    """
    try:
        return convert(value)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise _malformed(action, "it cannot be read") from None


def _check_list(value: dict[str, Any], action: str) -> dict[str, Any]:
    check_version(value, action)
    check_fields(value["metadata"], {"continue": str}, action)
    if not isinstance(value.get("kind"), str):
        raise _malformed(action, "it has no kind")
    # Each item is for its reader: one that is malformed must not keep the others out.
    objects_at(value, "items", action)
    return value


def _all_text(texts: Iterable[object]) -> bool:
    return all([type(text) is str for text in texts])  # noqa: C419 (a generator is slower)


def _check_managed(entry: Any, action: str) -> None:
    check_fields(_object(entry, action, "managedFields"), _MANAGED, action)
    if fields := entry.get("fieldsV1"):
        check_fields(fields, _FIELDS, action)
        if metadata := fields.get("f:metadata"):
            check_fields(metadata, _METADATA_FIELDS, action)


def _object(value: Any, action: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(action, f"expected an object at {where}")
    return value


def _check_text(value: Mapping[str, Any], field: str, action: str) -> str:
    found = value.get(field)
    if not isinstance(found, str) or not found:
        raise _malformed(action, f"it has no {field}")
    return found


def _malformed(action: str, what: str) -> ApiUnavailableError:
    # Nothing of the answer is quoted: it may hold anything.
    return ApiUnavailableError(f"{action}: the answer is malformed: {what}")
