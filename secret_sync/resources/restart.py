"""Which workloads restart after the data of a Secret changed, and what the status keeps of that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.resources.meta import InvalidField, interned, text
from secret_sync.resources.names import RESTART_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Workloads that one ExternalSecret may name.
MAX_WORKLOADS: Final = 16
#: Characters of the annotation: as many workloads with the longest names.
_LONGEST: Final = MAX_WORKLOADS * 300
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253
_SHOWN: Final = 80

WORKLOAD_KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet")
#: As kubectl takes them, in lower case.
_SPELLINGS: Final = {
    spelling: kind
    for kind, short in zip(WORKLOAD_KINDS, ("deploy", "sts", "ds"), strict=True)
    for spelling in (kind.lower(), f"{kind.lower()}s", short)
}
_FIELD: Final = ("spec", "target", "rolloutRestart")
_ANNOTATION: Final = ("metadata", "annotations", RESTART_ANNOTATION)


class Workload(NamedTuple):
    """A workload of the namespace of the ExternalSecret."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Return it as the annotation has it: ``deployment/shop``."""
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class RolloutRestart:
    """What an ExternalSecret says about restarts.

    Attributes:
        workloads: Those that restart, each once; none if anything is invalid.
        invalid: What is wrong.
    """

    workloads: tuple[Workload, ...]
    invalid: InvalidField | None = None

    @classmethod
    def from_dict(
        cls, annotations: dict[str, Any], target: dict[str, Any]
    ) -> RolloutRestart | None:
        """Read the annotation and ``target.rolloutRestart``; ``None`` if neither names anything."""
        field, annotation = target.get("rolloutRestart"), annotations.get(RESTART_ANNOTATION)
        if not field and not annotation:
            return None
        found: dict[Workload, None] = {}
        for item in (*_from_annotation(text(annotation)), *_from_field(field or ())):
            if isinstance(item, InvalidField):
                return cls((), item)
            found[item] = None
            if len(found) > MAX_WORKLOADS:
                return cls((), _too_many())
        return cls(tuple(found)) if found else None


@dataclass(frozen=True, slots=True)
class RestartStatus:
    """``status.restart``: what is known of the data, and of what restarted for it.

    Attributes:
        data: Keyed digest of the data that was written last.
        restarted: Of the data that the workloads restarted for, or started with; ``""`` while only
            some of them have restarted.
        nonce: Another one for each restart: the data may be the same as in an earlier one.
        last_time: RFC 3339, UTC: the last restart, or ``""``.
        recent: How many restarts followed each other closely; it decides how long the next waits.
    """

    data: str
    restarted: str
    nonce: str = ""
    last_time: str = ""
    recent: int = 0

    @property
    def mark(self) -> str:
        """What the pod template has of this restart."""
        return f"{self.data}.{self.nonce}"

    @property
    def pending(self) -> bool:
        """Whether workloads have to restart."""
        return self.data != self.restarted

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RestartStatus:
        """Read ``status.restart``."""
        return cls(
            data=text(value.get("dataDigest")),
            restarted=text(value.get("restartedFor")),
            nonce=text(value.get("nonce")),
            last_time=text(value.get("lastRestartTime")),
            recent=int(value.get("recentRestarts") or 0),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it in its applied form; empty fields are omitted."""
        result: dict[str, Any] = {
            "dataDigest": self.data,
            "restartedFor": self.restarted,
            "nonce": self.nonce,
        }
        if self.last_time:
            result["lastRestartTime"] = self.last_time
        if self.recent:
            result["recentRestarts"] = self.recent
        return result


def _from_annotation(written: str) -> Iterator[Workload | InvalidField]:
    if len(written) > _LONGEST:
        yield _too_many()
        return
    for item in filter(None, (part.strip() for part in written.split(","))):
        kind, slash, name = item.partition("/")
        known = _SPELLINGS.get(kind.lower())
        if not slash or known is None or not _is_name(name):
            yield InvalidField(
                _ANNOTATION,
                f"metadata.annotations['{RESTART_ANNOTATION}']: {item[:_SHOWN]!r} is not a "
                "workload; write deployment/NAME, statefulset/NAME or daemonset/NAME, separated "
                "by commas",
            )
            return
        yield Workload(known, interned(name))


def _from_field(items: Iterable[dict[str, Any]]) -> Iterator[Workload | InvalidField]:
    for number, item in enumerate(items):
        kind, name = text(item.get("kind")), text(item.get("name"))
        where = f"spec.target.rolloutRestart[{number}]"
        if kind not in WORKLOAD_KINDS:
            known = f"{', '.join(WORKLOAD_KINDS[:-1])} or {WORKLOAD_KINDS[-1]}"
            yield InvalidField(
                (*_FIELD, number, "kind"),
                f"{where}.kind is {kind[:_SHOWN]!r}; it can be {known}",
            )
            return
        if not _is_name(name):
            yield InvalidField(
                (*_FIELD, number, "name"),
                f"{where}.name is {name[:_SHOWN]!r}, which no {kind} can have",
            )
            return
        yield Workload(kind, interned(name))


def _is_name(name: str) -> bool:
    # It becomes a part of a path.
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def _too_many() -> InvalidField:
    return InvalidField(
        _FIELD,
        f"the annotation {RESTART_ANNOTATION} and spec.target.rolloutRestart name more than "
        f"{MAX_WORKLOADS} workloads together; split the ExternalSecret",
    )
