"""What others do to a Secret: every verb and client form, and what becomes of it.

A row is one write by one client. Its columns say what follows under each policy. Whatever is not
``REFUSED`` has to be accepted, and to change the Secret, or the cell would say nothing.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import orjson

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

#: What others write over ``password: right``, as a Secret has it and as ``stringData``.
THEIRS: Final = {"password": "from-git", "extra": "stray"}
STRATEGIC: Final = "application/strategic-merge-patch+json"
MERGE: Final = "application/merge-patch+json"
#: The annotation that says whose the Secret is.
MARK: Final = "secret-sync.alibabacloud.com/owner"
JSON_PATCH: Final = "application/json-patch+json"
#: Seconds that a command of kubectl may take where six run beside others' work.
LONGEST: Final = 60.0


class Place(NamedTuple):
    """A Secret, and the ways to it."""

    api: Api
    plane: ControlPlane
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/{self.name}"


class After(Enum):
    """What becomes of the Secret."""

    RESTORED = "it holds what it should again, and nothing else"
    TAKEN_BACK = "the API server names who has a field of ours; it is taken back"
    OURS_RESTORED = "our keys are right again; what others added stays"
    LEFT = "it changed, and nothing is written"
    REFUSED = "the API server refuses it, and nothing is written"
    NO_CHANGE = "the API server accepts it, and it changes nothing"
    CHECKED = "nothing changes; an apply says so, since metadata cannot tell"
    KEY_CONFLICT = "nothing is written, KeyConflict says so"
    KEY_CONFLICT_IN_NEW = "the same, of a Secret that was deleted and created again"
    MISSING = "nothing is written, TargetMissing says so"
    REPLACED = "restored if our new one came first, otherwise SecretConflict"
    RESTORED_EITHER_WAY = "restored, whoever's new one came first"


Write: TypeAlias = Callable[[Place], Awaitable[bool]]


class WriterRow(NamedTuple):
    """One write.

    Attributes:
        write: Does it, and tells whether the API server accepted it.
        owner: What follows under ``Owner``, ``Retain`` and for an adopted Secret.
        immutable: What follows under ``Owner`` with ``immutable``.
        merge: What follows under ``Merge``.
        adopted: What follows for a Secret that kubectl had applied with ``stringData``, and that
            was adopted, where that is not to be seen from ``owner``.
        merge_rotates: Under ``Merge``: what a new value of KMS comes to afterwards, as the reason
            of the condition.
    """

    write: Write
    owner: After
    immutable: After
    merge: After
    adopted: After | None = None
    merge_rotates: str = "Synced"


def encoded(values: dict[str, str]) -> dict[str, str]:
    return {key: b64encode(value.encode()).decode() for key, value in values.items()}


def form(field: str, values: dict[str, str]) -> dict[str, Any]:
    """The part of a manifest that has the values: ``data`` or ``stringData``."""
    return {field: encoded(values) if field == "data" else values}


def manifest(name: str, field: str, values: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **form(field, values)}


def kubectl(*arguments: str, values: dict[str, str] = THEIRS, field: str = "") -> Write:
    """The real one; with a field it is given a manifest, else the Secret's name."""

    async def write(place: Place) -> bool:
        given = orjson.dumps(manifest(place.name, field, values)) if field else b""
        command = [str(place.plane.binaries.kubectl), "--kubeconfig", str(place.plane.kubeconfig)]
        command += ["--namespace", place.namespace]
        command += [argument.replace("NAME", place.name) for argument in arguments]
        process = await asyncio.create_subprocess_exec(
            *command,
            *(["--filename", "-"] if field else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "KUBE_EDITOR": "sed -i s/cmlnaHQ=/ZnJvbS1naXQ=/"},
        )
        try:
            async with asyncio.timeout(LONGEST):
                await process.communicate(given)
        finally:
            if process.returncode is None:
                process.kill()
        return process.returncode == 0

    return write


def sent(
    method: str, body: Any = None, content_type: str = "application/json", at: str = ""
) -> Write:
    """A request by a client that gives no field manager: its User-Agent counts."""

    async def write(place: Place) -> bool:
        status, _ = await place.api.request(method, place.path + at, body, content_type)
        return status < HTTPStatus.BAD_REQUEST

    return write


def put(change: Callable[[dict[str, Any]], None]) -> Write:
    """Reads the whole object and puts it back changed, as old clients do."""

    async def write(place: Place) -> bool:
        while True:
            _, found = await place.api.request("GET", place.path)
            change(found)
            status, _ = await place.api.request("PUT", place.path, found)
            if status != HTTPStatus.CONFLICT:
                return status < HTTPStatus.BAD_REQUEST

    return write


def with_values(values: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update(values)


def fresh_fields(found: dict[str, Any]) -> None:
    found["metadata"]["managedFields"] = [{}]


def fresh_fields_and_value(found: dict[str, Any]) -> None:
    fresh_fields(found)
    found["data"] = encoded(THEIRS)


def _restored(
    write: Write, *, immutable: After = After.REFUSED, merge: After = After.KEY_CONFLICT
) -> WriterRow:
    return WriterRow(write, After.RESTORED, immutable, merge)


def _all(write: Write, after: After = After.LEFT) -> WriterRow:
    return WriterRow(write, after, after, after)


def _deleted(write: Write) -> WriterRow:
    return WriterRow(write, After.RESTORED, After.RESTORED, After.MISSING)


def _marked(value: str | None, after: After, merge: After) -> WriterRow:
    """Our mark is changed; what we merge into has none."""
    body = {"metadata": {"annotations": {MARK: value}}}
    return WriterRow(sent("PATCH", body, MERGE), after, after, merge)


def _rows() -> dict[str, WriterRow]:
    rows: dict[str, WriterRow] = {}
    for field in ("data", "stringData"):
        body = form(field, THEIRS)
        patch = orjson.dumps(body).decode()
        add = [
            {"op": "add", "path": f"/{field}", "value": body[field]},
        ]
        rows |= {
            f"kubectl apply, {field}": _restored(kubectl("apply", field=field)),
            f"kubectl apply --server-side --force-conflicts, {field}": _restored(
                kubectl("apply", "--server-side", "--force-conflicts", field=field)
            ),
            f"kubectl apply --server-side of another key, {field}": _restored(
                kubectl("apply", "--server-side", values={"extra": "stray"}, field=field),
                merge=After.LEFT,
            ),
            f"kubectl apply --server-side of an equal value, {field}": WriterRow(
                kubectl("apply", "--server-side", values={"password": "right"}, field=field),
                look := After.LEFT if field == "data" else After.CHECKED,
                look,
                # Who it is, and that the value is equal, is told by the API server alone.
                After.CHECKED,
                # With ``data`` instead of it, its entry with ``stringData`` is gone.
                adopted=look,
                merge_rotates="KeyConflict",
            ),
            f"kubectl apply --server-side as our manager, {field}": WriterRow(
                kubectl("apply", "--server-side", "--field-manager=secret-sync", field=field),
                After.RESTORED,
                After.REFUSED,
                After.REFUSED if field == "data" else After.KEY_CONFLICT,
                # kubectl owns it in ``stringData``.
                adopted=After.RESTORED if field == "data" else After.REFUSED,
            ),
            f"kubectl replace, {field}": _restored(kubectl("replace", field=field)),
            f"kubectl replace --force, {field}": WriterRow(
                # It waits until nothing is there, five minutes unless told; ours may be, at once.
                kubectl("replace", "--force", "--timeout=5s", field=field),
                After.REPLACED,
                After.REPLACED,
                After.KEY_CONFLICT_IN_NEW,
            ),
            f"kubectl patch --type=strategic, {field}": _restored(
                kubectl("patch", "secret", "NAME", "--patch", patch)
            ),
            f"kubectl patch --type=merge, {field}": _restored(
                kubectl("patch", "secret", "NAME", "--type=merge", "--patch", patch)
            ),
            f"kubectl patch --type=json, {field}": _restored(
                kubectl(
                    "patch", "secret", "NAME", "--type=json", "--patch", orjson.dumps(add).decode()
                )
            ),
            f"PUT, {field}": _restored(put(with_values(body))),
            f"strategic merge patch, {field}": _restored(sent("PATCH", body, STRATEGIC)),
            f"merge patch, {field}": _restored(sent("PATCH", body, MERGE)),
            f"JSON patch, {field}": _restored(sent("PATCH", add, JSON_PATCH)),
            f"POST over it, {field}": _all(_post(field), After.REFUSED),
            f"dry run, {field}": WriterRow(
                sent("PATCH", body, MERGE, "?dryRun=All"),
                After.NO_CHANGE,
                After.REFUSED,
                After.NO_CHANGE,
            ),
            f"subresource, {field}": _all(sent("PATCH", body, MERGE, "/status"), After.REFUSED),
        }
    rows["kubectl apply --server-side, data"] = _all(
        kubectl("apply", "--server-side", field="data"), After.REFUSED
    )
    rows["kubectl apply --server-side, stringData"] = _restored(
        kubectl("apply", "--server-side", field="stringData")
    )
    ours_again = After.OURS_RESTORED
    move = [{"op": "move", "from": "/data/password", "path": "/data/moved"}]
    replace = {"data": {"$patch": "replace", **encoded({"other": "x"})}}
    at = "?fieldManager=x"
    return rows | {
        "kubectl edit": _restored(kubectl("edit", "secret", "NAME")),
        "key removed": _restored(
            sent("PATCH", {"data": {"password": None}}, MERGE, at), merge=ours_again
        ),
        "data removed": _restored(sent("PATCH", {"data": None}, MERGE, at), merge=ours_again),
        "key moved": _restored(sent("PATCH", move, JSON_PATCH), merge=ours_again),
        "$patch: replace": _restored(sent("PATCH", replace, STRATEGIC), merge=ours_again),
        "managedFields reset": WriterRow(
            put(fresh_fields),
            After.RESTORED,
            After.RESTORED,
            ours_again,
            merge_rotates="KeyConflict",
        ),
        "managedFields reset, data": _restored(put(fresh_fields_and_value)),
        "kubectl delete": _deleted(kubectl("delete", "secret", "NAME", "--wait=false")),
        "kubectl delete --field-selector": _deleted(
            kubectl("delete", "secret", "--field-selector=metadata.name=NAME", "--wait=false")
        ),
        "DELETE, orphaning": _deleted(sent("DELETE", _options("Orphan"))),
        "DELETE, foreground": _deleted(sent("DELETE", _options("Foreground"))),
        "DELETE of the collection": _deleted(_delete_collection),
        "mark removed": _marked(None, After.RESTORED, After.NO_CHANGE),
        "mark of another": _marked("another/0", After.TAKEN_BACK, After.LEFT),
        "kubectl label": _all(kubectl("label", "secret", "NAME", "team=a")),
        "kubectl annotate": _all(kubectl("annotate", "secret", "NAME", "note=b")),
        "another type": _all(sent("PATCH", {"type": "example.org/other"}, MERGE), After.REFUSED),
        "made immutable": WriterRow(
            sent("PATCH", {"immutable": True}, MERGE),
            After.LEFT,
            After.NO_CHANGE,
            After.LEFT,
            merge_rotates="WriteFailed",
        ),
    }


def _options(propagation: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}


async def _delete_collection(place: Place) -> bool:
    path = f"{place.path.rpartition('/')[0]}?fieldSelector=metadata.name%3D{place.name}"
    status, _ = await place.api.request("DELETE", path)
    return status < HTTPStatus.BAD_REQUEST


def _post(field: str) -> Write:
    async def write(place: Place) -> bool:
        body = manifest(place.name, field, THEIRS)
        status, _ = await place.api.request("POST", place.path.rpartition("/")[0], body)
        return status < HTTPStatus.BAD_REQUEST

    return write


ROWS: Final = _rows()
