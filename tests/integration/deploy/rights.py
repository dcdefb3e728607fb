"""Rights one by one: those that are shipped, and those that were used or asked for in vain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        resource: With its subresource.
        name: The only object that it is about, or ``""``.
    """

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}".rstrip()

    @property
    def rule(self) -> dict[str, Any]:
        names = {"resourceNames": [self.name]} if self.name else {}
        group, resource, verb = [self.group], [self.resource], [self.verb]
        return {"apiGroups": group, "resources": resource, "verbs": verb, **names}


def rights_in(*files: Path) -> list[Right]:
    """All rights that these Roles give, in order."""
    return sorted(
        Right(group, resource, verb, name)
        for file in files
        for rule in yaml.safe_load(file.read_text())["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    )


async def may(api: Api, user: str, right: Right, namespace: str = "") -> bool:
    """Whether RBAC lets somebody do it there; by default in the whole cluster."""
    resource, _, subresource = right.resource.partition("/")
    asked = {"verb": right.verb, "group": right.group, "namespace": namespace}
    asked |= {"resource": resource, "subresource": subresource}
    review = {"spec": {"user": user, "resourceAttributes": asked}}
    status, body = await api.request("POST", REVIEWS, review)
    assert status == 201, body
    allowed: bool = body["status"]["allowed"]
    return allowed


class AuditLog:
    """What the API server has written down since this was made.

    Of namespaces it takes one alone: in those of other tests, which are going, nobody may create
    anything.
    """

    def __init__(self, plane: ControlPlane, home: str) -> None:
        self._places = {"", home, "default"}
        self._path = plane.audit_log
        self._begin = self._path.stat().st_size

    def _of(self, user: str) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            file.seek(self._begin)
            for line in file:
                # The last one may be half written.
                if line.endswith(b"\n") and user.encode() in line:
                    entry = json.loads(line)
                    place = entry.get("objectRef", {}).get("namespace", "")
                    if entry["user"]["username"] == user and place in self._places:
                        yield entry

    def used(self, user: str) -> set[Right]:
        """The rights that were made use of with success, by what the API server calls a request."""
        granted = (e for e in self._of(user) if e.get("responseStatus", {}).get("code", 0) < 400)
        return {right for entry in granted for right in _rights(entry)}

    def denied(self, user: str) -> set[Right]:
        """Those that were asked for in vain."""
        refused = (e for e in self._of(user) if e.get("responseStatus", {}).get("code") == 403)
        return {right for entry in refused for right in _rights(entry)}


def _rights(entry: dict[str, Any]) -> Iterator[Right]:
    ref = entry.get("objectRef")
    if ref is None:
        return
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    name = ref.get("name", "") if resource == "customresourcedefinitions" else ""
    right = Right(ref.get("apiGroup", ""), resource, entry["verb"], name)
    yield right
    # Server-side apply of what does not exist takes both rights, and is reported as one request.
    if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
        yield Right(right.group, right.resource, "create", right.name)
