"""A played API server that holds one Secret, and fails when it is told to.

Of server-side apply it does what the writer of Secrets builds on; what the real one does with a
write is shown in tests/integration.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from secret_sync.kube import (
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
)
from secret_sync.kube.errors import Cause
from tests.unit.controller.fakes import STORED

if TYPE_CHECKING:
    from collections.abc import Iterable

AWAY: Final = ApiUnavailableError("away", status=503)
FROZEN: Final = ApiRefusedError(
    "frozen", status=422, causes=(Cause("data", "FieldValueForbidden"),)
)


class HoldingClient:
    """The API server.

    Args:
        held: The Secret, with its data.

    Attributes:
        fails_at: Which write or confirmation is answered with a 503, from 0 on; -1 for none.
        stored: Whether that one is carried out all the same, so that only the answer is lost.
        requests: How many of them there were, each by what it did.
    """

    def __init__(self, held: dict[str, Any]) -> None:
        self.held: dict[str, Any] | None = deepcopy(held)
        self.fails_at = -1
        self.stored = False
        self.requests: list[str] = []
        self._version = 50

    async def request(
        self, method: str, path: str, *, params: Any = None, body: Any = None, **_: Any
    ) -> dict[str, Any]:
        if method == "GET" and "/externalsecrets/" not in path:
            return self._found()
        fails = len(self.requests) == self.fails_at
        self.requests.append(f"{method} {'owner' if method == 'GET' else type(body).__name__}")
        if not fails:
            return self._answer(method, path, params or {}, deepcopy(body))
        if self.stored:
            with suppress(ApiError):
                self._answer(method, path, params or {}, deepcopy(body))
        raise AWAY

    def _found(self) -> dict[str, Any]:
        if self.held is None:
            raise ApiNotFoundError("gone", status=404)
        return deepcopy(self.held)

    def _answer(self, method: str, path: str, params: Any, body: Any) -> dict[str, Any]:
        if method == "GET":
            return {"metadata": STORED[path]}
        if params.get("dryRun"):
            return {"metadata": {}}
        if method == "DELETE":
            self._expect(body["preconditions"])
            self.held = None
            return {}
        before = self._found() if self.held is not None else None
        if isinstance(body, list):
            self._expect({op["path"].rpartition("/")[2]: op["value"] for op in body[:2]})
            self._patch(body[2])
        else:
            self._apply(body, params["fieldManager"])
        if self.held is None:
            raise AssertionError
        if before is not None and before.get("immutable") and before["data"] != self.held["data"]:
            self.held = before
            raise FROZEN
        if before != self.held:
            self._version += 1
            self.held["metadata"]["resourceVersion"] = str(self._version)
        return {"metadata": self._found()["metadata"]}

    def _expect(self, demanded: dict[str, str]) -> None:
        metadata = self._found()["metadata"]
        if any(metadata[field] != value for field, value in demanded.items()):
            raise ApiConflictError("changed", status=409)

    def _patch(self, change: dict[str, Any]) -> None:
        held = self.held
        if held is None:
            raise AssertionError
        metadata = held["metadata"]
        if change["path"] == "/metadata/managedFields":
            metadata["managedFields"] = [e for e in change["value"] if e]
            return
        held["data"] = change["value"]
        for entry in metadata["managedFields"]:
            owned = entry["fieldsV1"].get("f:data", {})
            kept = _owning(field[2:] for field in owned if field[2:] in held["data"])
            entry["fieldsV1"].pop("f:data", None)
            if kept:
                entry["fieldsV1"]["f:data"] = kept
        metadata["managedFields"] = [e for e in metadata["managedFields"] if e["fieldsV1"]]

    def _apply(self, body: dict[str, Any], manager: str) -> None:
        asked = body["metadata"]
        if asked.get("resourceVersion") == "1":
            if self.held is not None:
                raise ApiConflictError("there", status=409)
            metadata = {"namespace": "ns", "name": "some", "uid": "new", "resourceVersion": "0"}
            self.held = {"metadata": metadata | {"managedFields": []}, "data": {}}
        else:
            self._expect({f: asked[f] for f in ("uid", "resourceVersion")})
        if self.held is None:
            raise AssertionError
        metadata = self.held["metadata"]
        old = [e for e in metadata["managedFields"] if _is_apply_of(e, manager)]
        others = [e for e in metadata["managedFields"] if not _is_apply_of(e, manager)]
        was = old[0]["fieldsV1"] if old else {}
        fields: dict[str, Any] = {}
        data = body.get("data", {})
        kept = {f[2:] for e in others for f in e["fieldsV1"].get("f:data", {})}
        _set(self.held["data"], data, was.get("f:data", {}), kept)
        if data:
            fields["f:data"] = _owning(data)
        about: dict[str, Any] = {}
        for name in ("labels", "annotations"):
            said = asked.get(name) or {}
            held = metadata.setdefault(name, {})
            _set(held, said, was.get("f:metadata", {}).get(f"f:{name}", {}), set())
            if said:
                about[f"f:{name}"] = _owning(said)
        if about:
            fields["f:metadata"] = about
        metadata["ownerReferences"] = asked.get("ownerReferences", [])
        entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
        metadata["managedFields"] = [*others, entry] if fields else others


def _is_apply_of(entry: dict[str, Any], manager: str) -> bool:
    return (entry["manager"], entry["operation"]) == (manager, "Apply")


def _owning(names: Iterable[str]) -> dict[str, Any]:
    return {f"f:{name}": {} for name in names}


def _set(held: dict[str, str], said: dict[str, str], was: Iterable[str], kept: set[str]) -> None:
    for gone in {field[2:] for field in was} - said.keys() - kept:
        held.pop(gone, None)
    held |= said
