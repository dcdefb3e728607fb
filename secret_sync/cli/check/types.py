"""The keys that Kubernetes requires for its own Secret types, before the API server refuses."""

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
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.cli.check.samples import SampleResult
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.meta import FieldPath

#: One key of each group is required.
Groups: TypeAlias = tuple[tuple[str, ...], ...]

#: As ``ValidateSecret`` of Kubernetes has it (pkg/apis/core/validation).
REQUIRED: Final[Mapping[str, Groups]] = {
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
}
JSON_OBJECTS: Final = (".dockercfg", ".dockerconfigjson")
_TYPE: Final[FieldPath] = ("spec", "type")
_CLOSE: Final = 0.8


def check_type(
    obj: CheckedObject,
    es: ExternalSecret,
    usable: Sequence[Usable],
    result: SampleResult | None,
    findings: Findings,
) -> None:
    """Report the keys that the type of the Secret requires and no entry writes.

    Args:
        obj: The ExternalSecret.
        es: The same, parsed.
        usable: Its entries without errors.
        result: The data extracted from samples, if there are any.
        findings: Where to report.
    """
    kind = es.secret_type
    if es.target.merge:
        # The existing Secret has its own type.
        return
    groups = REQUIRED.get(kind, ())
    sample_data = {} if result is None else result.data
    keys = {key for u in usable for key in static_keys(u.entry)} | sample_data.keys()
    template = es.template
    if template is not None:
        keys = {*template.named_keys, *sample_data, *(() if template.replaces else keys)}
    missing = [group for group in groups if keys.isdisjoint(group)]
    lines = template is not None and template.has_lines and result is None
    # An entry with an error was reported, and the error may be the name of its key.
    if missing and len(usable) == len(es.entries) and not lines:
        untried = [u.entry.key for u in usable if result is None or u.entry.key in result.without]
        unknown = () if template and template.replaces else _unknown(usable, untried)
        _report_missing_keys(obj, kind, missing, keys, unknown, findings)
    if kind in REQUIRED:
        _check_json(obj, kind, sample_data, findings)


def _unknown(usable: Sequence[Usable], untried: Sequence[str]) -> tuple[str, ...]:
    """Return the ``key`` of each entry whose keys are known only with its value."""
    open_ = (u.entry.key for u in usable if not static_keys(u.entry) and u.entry.key in untried)
    return tuple(dict.fromkeys(open_))


def _report_missing_keys(
    obj: CheckedObject,
    kind: str,
    missing: Sequence[tuple[str, ...]],
    keys: Iterable[str],
    unknown: Sequence[str],
    findings: Findings,
) -> None:
    needs = f"type {kind} needs {' and '.join(' or '.join(group) for group in missing)}"
    if unknown:
        names = ", ".join(repr(key) for key in unknown)
        message = f"{needs}; whether the document of {names} has it is unknown: try --sample"
        findings.add(Severity.NOTE, obj, _TYPE, message, Reason.WRITE_FAILED)
        return
    message = f"{needs}, which no entry writes"
    wanted = [key for group in missing for key in group]
    for key in sorted(keys):
        for close in difflib.get_close_matches(key, wanted, n=1, cutoff=_CLOSE):
            message += f"; is {key!r} meant to be {close!r}?"
    findings.add_problem(obj, _TYPE, message, Reason.WRITE_FAILED)


def _check_json(
    obj: CheckedObject, kind: str, data: Mapping[str, bytes], findings: Findings
) -> None:
    groups = REQUIRED[kind]
    for key in (k for group in groups for k in group if k in JSON_OBJECTS and k in data):
        if not is_object(data[key]):
            message = f"type {kind} needs a JSON object in {key}, but the sample has none"
            findings.add_problem(obj, _TYPE, message, Reason.WRITE_FAILED)


def is_object(value: bytes) -> bool:
    """Return whether a value is a JSON object, as the API server reads it."""
    try:
        document: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return document is None or isinstance(document, dict)
