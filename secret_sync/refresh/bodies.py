"""Which secrets the body of a request names.

Three forms are read: our own, ``{"secrets": ["name", "acs:kms:..."]}``; the notification of
CloudMonitor; and the CloudEvents envelope of EventBridge, whose ``data`` is such a notification or
an event of ActionTrail. The pages of Alibaba Cloud that describe them are listed in
docs/push-refresh.md. Several come as a JSON array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Names in one request, and characters of one.
MAX_NAMES: Final = 128
MAX_LENGTH: Final = 256
#: What tells an event of Alibaba Cloud from anything else.
_EVENT_FIELDS: Final = ("specversion", "product", "eventName")
#: Calls that change nothing. Refreshing after them would be a loop: it is itself such a call.
_READS: Final = ("Get", "List", "Describe", "Check")


def read_names(body: bytes) -> list[str]:
    """Return the names and ARNs of a body, each once; none if it is an event that changes nothing.

    Raises:
        DefiniteError: It is none of the three forms, or names too much; says what to send.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Without its words, which quote the body.
        raise DefiniteError("the body is not JSON") from None
    items = document if isinstance(document, list) else [document]
    names: dict[str, None] = {}
    for item in items:
        names |= dict.fromkeys(_names_in(item))
    if len(names) > MAX_NAMES:
        raise DefiniteError(f"more than {MAX_NAMES} secrets in one request; send several")
    return list(names)


def _names_in(item: object) -> Iterable[str]:
    if isinstance(item, dict) and "secrets" in item:
        return _own(item["secrets"])
    if isinstance(item, dict) and any(name in item for name in _EVENT_FIELDS):
        return [name for name in _of_event(item) if 0 < len(name) <= MAX_LENGTH]
    raise DefiniteError(
        'the body is neither {"secrets": ["name or ARN", ...]} nor an event of CloudMonitor or '
        "EventBridge"
    )


def _own(names: object) -> list[str]:
    if not isinstance(names, list) or not all(
        isinstance(name, str) and 0 < len(name) <= MAX_LENGTH for name in names
    ):
        raise DefiniteError(f"secrets: expected a list of strings of 1 to {MAX_LENGTH} characters")
    return names


def _of_event(event: Mapping[str, Any]) -> Iterator[str]:
    data = _mapping(event.get("data")) if "specversion" in event else event
    if "eventName" in data:
        yield from _of_call(data)
    elif _ends(event.get("type"), "Failure]") or _ends(data.get("name"), ":Failure"):
        # The secret is what it was.
        return
    elif data.get("product", "KMS") == "KMS":
        content = _mapping(data.get("content"))
        yield from _texts(
            data.get("resourceId"),
            content.get("RotationEntityArn"),
            content.get("secretName"),
        )


def _of_call(data: Mapping[str, Any]) -> Iterator[str]:
    """Read an event of ActionTrail: somebody called KMS."""
    name = data["eventName"]
    if not isinstance(name, str) or name.startswith(_READS) or data.get("eventRW") == "Read":
        return
    service = data.get("serviceName", "Kms")
    if data.get("errorCode") or not isinstance(service, str) or service.lower() != "kms":
        return
    for field in ("requestParameters", "requestParameterJson"):
        yield from _texts(_mapping(data.get(field)).get("SecretName"))
    referenced = _mapping(data.get("referencedResources")).get("ACS::KMS::Secret")
    yield from _texts(*(referenced if isinstance(referenced, list) else ()))


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, which some events have as a string."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _texts(*values: object) -> Iterator[str]:
    yield from (value for value in values if isinstance(value, str))


def _ends(value: object, end: str) -> bool:
    return isinstance(value, str) and value.endswith(end)
