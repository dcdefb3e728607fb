"""What others do to a Secret: every verb and client form, and what becomes of it.

A row is one write by one client. Its columns say what follows under each policy. ``LEFT`` also
holds for what the API server refuses: nothing changed, so nothing is written.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import orjson

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

#: What others write over ``password: right``, as a Secret has it and as ``stringData``.
THEIRS: Final = {"password": "from-git", "extra": "stray"}
STRATEGIC: Final = "application/strategic-merge-patch+json"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


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
    OURS_RESTORED = "our keys are right again; what others added stays"
    LEFT = "nothing is written"
    CHECKED = "nothing changes; an apply says so, since metadata cannot tell"
    KEY_CONFLICT = "nothing is written, KeyConflict says so"
    MISSING = "nothing is written, TargetMissing says so"
    REPLACED = "restored if our new one came first, otherwise SecretConflict"


Write: TypeAlias = Callable[[Place], Awaitable[None]]


class Row(NamedTuple):
    """One write.

    Attributes:
        write: Does it; that the API server refuses it is no error.
        owner: What follows under ``Owner``, ``Retain`` and for an adopted Secret.
        immutable: What follows under ``Owner`` with ``immutable``.
        merge: What follows under ``Merge``.
    """

    write: Write
    owner: After
    immutable: After
    merge: After


def encoded(values: dict[str, str]) -> dict[str, str]:
    return {key: b64encode(value.encode()).decode() for key, value in values.items()}


def form(field: str, values: dict[str, str]) -> dict[str, Any]:
    """The part of a manifest that has the values: ``data`` or ``stringData``."""
    return {field: encoded(values) if field == "data" else values}


def manifest(name: str, field: str, values: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **form(field, values)}


def kubectl(*arguments: str, values: dict[str, str] = THEIRS, field: str = "") -> Write:
    """The real one; with a field it is given a manifest, else the Secret's name."""

    async def write(place: Place) -> None:
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
        await process.communicate(given)

    return write


def sent(
    method: str, body: Any = None, content_type: str = "application/json", at: str = ""
) -> Write:
    """A request by a client that gives no field manager: its User-Agent counts."""

    async def write(place: Place) -> None:
        await place.api.request(method, place.path + at, body, content_type)

    return write


def put(change: Callable[[dict[str, Any]], None]) -> Write:
    """Reads the whole object and puts it back changed, as old clients do."""

    async def write(place: Place) -> None:
        while True:
            _, found = await place.api.request("GET", place.path)
            change(found)
            status, _ = await place.api.request("PUT", place.path, found)
            if status != 409:
                return

    return write


def with_values(values: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update(values)


def fresh_fields(found: dict[str, Any]) -> None:
    found["metadata"]["managedFields"] = [{}]


def fresh_fields_and_value(found: dict[str, Any]) -> None:
    fresh_fields(found)
    found["data"] = encoded(THEIRS)


def _restored(
    write: Write, *, immutable: After = After.LEFT, merge: After = After.KEY_CONFLICT
) -> Row:
    return Row(write, After.RESTORED, immutable, merge)


def _left(write: Write) -> Row:
    return Row(write, After.LEFT, After.LEFT, After.LEFT)


def _rows() -> dict[str, Row]:
    rows: dict[str, Row] = {}
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
            f"kubectl apply --server-side of an equal value, {field}": Row(
                kubectl("apply", "--server-side", values={"password": "right"}, field=field),
                look := After.LEFT if field == "data" else After.CHECKED,
                look,
                # Who it is, and that the value is equal, is told by the API server alone.
                After.CHECKED,
            ),
            f"kubectl apply --server-side as our manager, {field}": Row(
                kubectl("apply", "--server-side", "--field-manager=secret-sync", field=field),
                After.RESTORED,
                After.LEFT,
                After.LEFT if field == "data" else After.KEY_CONFLICT,
            ),
            f"kubectl replace, {field}": _restored(kubectl("replace", field=field)),
            f"kubectl replace --force, {field}": Row(
                kubectl("replace", "--force", field=field),
                After.REPLACED,
                After.REPLACED,
                After.KEY_CONFLICT,
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
            f"POST over it, {field}": _left(_post(field)),
            f"dry run, {field}": _left(sent("PATCH", body, MERGE, "?dryRun=All")),
            f"subresource, {field}": _left(sent("PATCH", body, MERGE, "/status")),
        }
    rows["kubectl apply --server-side, data"] = _left(
        kubectl("apply", "--server-side", field="data")
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
        "managedFields reset": Row(put(fresh_fields), After.RESTORED, After.RESTORED, ours_again),
        "managedFields reset, data": _restored(put(fresh_fields_and_value)),
        "kubectl delete": Row(
            kubectl("delete", "secret", "NAME", "--wait=false"),
            After.RESTORED,
            After.RESTORED,
            After.MISSING,
        ),
        "DELETE, orphaning": Row(
            sent(
                "DELETE",
                {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"},
            ),
            After.RESTORED,
            After.RESTORED,
            After.MISSING,
        ),
        "kubectl label": _left(kubectl("label", "secret", "NAME", "team=a")),
        "kubectl annotate": _left(kubectl("annotate", "secret", "NAME", "note=b")),
        "another type": _left(sent("PATCH", {"type": "example.org/other"}, MERGE)),
        "made immutable": _left(sent("PATCH", {"immutable": True}, MERGE)),
    }


def _post(field: str) -> Write:
    async def write(place: Place) -> None:
        body = manifest(place.name, field, THEIRS)
        await place.api.request("POST", place.path.rpartition("/")[0], body)

    return write


ROWS: Final = _rows()
