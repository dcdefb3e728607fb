"""What Kubernetes asks of Secrets of its own types; its API server would refuse them later."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from secret_sync.cli.check.entries import static_keys
from secret_sync.cli.check.findings import Severity
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from secret_sync.cli.check.external_secrets import Usable
    from secret_sync.cli.check.findings import Path
    from secret_sync.cli.check.ledger import Ledger
    from secret_sync.cli.check.objects import Subject
    from secret_sync.cli.check.samples import Taste
    from secret_sync.resources import ExternalSecret

#: Of each group one key has to be there.
Groups: TypeAlias = tuple[tuple[str, ...], ...]

#: As ``ValidateSecret`` of Kubernetes has it (pkg/apis/core/validation).
_REQUIRED: Final[Mapping[str, Groups]] = {
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
}
#: The API server stores a Secret without them, and kubeadm's controllers pass over it.
_EXPECTED: Final[Mapping[str, Groups]] = {
    "bootstrap.kubernetes.io/token": (("token-id",), ("token-secret",)),
}
_JSON_OBJECTS: Final = (".dockercfg", ".dockerconfigjson")
_OF_ACCOUNTS: Final = "kubernetes.io/service-account-token"
_TYPE: Final[Path] = ("spec", "type")
_CLOSE: Final = 0.8


def check_type(
    subject: Subject,
    es: ExternalSecret,
    usable: Sequence[Usable],
    taste: Taste | None,
    ledger: Ledger,
) -> None:
    """Tell which keys the type of the Secret lacks.

    Args:
        subject: Which ExternalSecret.
        es: The same.
        usable: Its entries in which nothing is wrong.
        taste: What samples give for it, if there are any.
        ledger: Where it is told.
    """
    kind = es.secret_type
    if es.target.merge:
        # The type is that of the Secret which is there.
        return
    if kind == _OF_ACCOUNTS:
        message = (
            f"type {kind} needs the annotation kubernetes.io/service-account.name, which"
            " secret-sync does not write: the API server refuses the Secret"
        )
        ledger.problem(subject, _TYPE, message, Reason.WRITE_FAILED)
        return
    groups = _REQUIRED.get(kind) or _EXPECTED.get(kind) or ()
    tasted = {} if taste is None else taste.data
    keys = {key for u in usable for key in static_keys(u.entry)} | tasted.keys()
    lacking = [group for group in groups if keys.isdisjoint(group)]
    # What is wrong with an entry was told, and may be the name of its key.
    if lacking and len(usable) == len(es.entries):
        untried = [u.entry.key for u in usable if taste is None or u.entry.key in taste.without]
        _tell_lacking(subject, kind, lacking, keys, _unknown(usable, untried), ledger)
    if kind in _REQUIRED:
        _check_json(subject, kind, tasted, ledger)


def _unknown(usable: Sequence[Usable], untried: Sequence[str]) -> tuple[str, ...]:
    """Return the entries whose keys are known with their values only, by their ``key``."""
    open_ = (u.entry.key for u in usable if not static_keys(u.entry) and u.entry.key in untried)
    return tuple(dict.fromkeys(open_))


def _tell_lacking(
    subject: Subject,
    kind: str,
    lacking: Sequence[tuple[str, ...]],
    keys: Iterable[str],
    unknown: Sequence[str],
    ledger: Ledger,
) -> None:
    needs = f"type {kind} needs {' and '.join(' or '.join(group) for group in lacking)}"
    if unknown:
        names = ", ".join(repr(key) for key in unknown)
        message = f"{needs}; whether the document of {names} has that is not known: try --sample"
        ledger.tell(Severity.NOTE, subject, _TYPE, message, Reason.WRITE_FAILED)
        return
    message = f"{needs}, which no entry writes"
    wanted = [key for group in lacking for key in group]
    for key in sorted(keys):
        for close in difflib.get_close_matches(key, wanted, n=1, cutoff=_CLOSE):
            message += f"; is {key!r} meant to be {close!r}?"
    if kind in _EXPECTED:
        ledger.tell(Severity.WARNING, subject, _TYPE, message, Reason.WRITE_FAILED)
    else:
        ledger.problem(subject, _TYPE, message, Reason.WRITE_FAILED)


def _check_json(subject: Subject, kind: str, data: Mapping[str, bytes], ledger: Ledger) -> None:
    groups = _REQUIRED[kind]
    for key in (k for group in groups for k in group if k in _JSON_OBJECTS and k in data):
        if not _is_object(data[key]):
            message = f"type {kind} needs a JSON object in {key}, and the sample gives none"
            ledger.problem(subject, _TYPE, message, Reason.WRITE_FAILED)


def _is_object(value: bytes) -> bool:
    try:
        document: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return document is None or isinstance(document, dict)
