"""Makers of the objects that the controller's parts speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.resources import ExternalSecret, SecretStore, secret_from_metadata
from tests.unit.controller.fakes import STORED
from tests.unit.controller.handling import HandlersHarness
from tests.unit.controller.planning import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.resources import SecretMeta

OWNER: Final = "secret-sync.alibabacloud.com/owner"


@pytest.fixture
def make_es() -> Callable[..., ExternalSecret]:
    """An ExternalSecret ``ns/some``; keyword arguments are fields of its spec."""

    def make(
        *, metadata: dict[str, Any] | None = None, status: Any = None, **spec: Any
    ) -> ExternalSecret:
        entry = {"key": "db", "name": "password", "secretStoreRef": {"name": "store"}}
        stored = {
            "namespace": "ns",
            "name": "some",
            "uid": "es-uid",
            "resourceVersion": "10",
            "generation": 1,
            **(metadata or {}),
        }
        STORED[EXTERNAL_SECRETS.path(stored["namespace"], stored["name"])] = stored
        return ExternalSecret.from_dict(
            {
                "metadata": stored,
                "spec": {"data": [entry], **spec},
                "status": status,
            }
        )

    return make


@pytest.fixture
def make_store() -> Callable[..., SecretStore]:
    """A SecretStore ``ns/store`` with an AccessKey in Secret ``key``."""

    def make(
        auth: dict[str, Any] | None = None, *, service: str = "KMS", **more: Any
    ) -> SecretStore:
        written = {
            "accessKey": {"name": "key", "key": "id"},
            "accessKeySecret": {"name": "key", "key": "secret"},
        }
        return SecretStore.from_dict(
            {
                "metadata": {
                    "namespace": "ns",
                    "name": "store",
                    "uid": "store-uid",
                    "resourceVersion": "5",
                    "generation": 1,
                    **more,
                },
                "spec": {service: {f"{service}Auth": written if auth is None else auth}},
            }
        )

    return make


@pytest.fixture
def make_secret() -> Callable[..., SecretMeta]:
    """The metadata of a Secret ``ns/some`` that is ours and as it should be, but for `changes`."""

    def make(
        *,
        ours: tuple[str, ...] = ("password",),
        others: tuple[str, ...] = (),
        mark: str = "some/es-uid",
        marked_by_us: bool = True,
        owners: tuple[str, ...] = ("es-uid",),
        by_string_data: tuple[str, ...] = (),
        **metadata: Any,
    ) -> SecretMeta:
        entries: list[dict[str, Any]] = []
        if ours or marked_by_us:
            annotations: dict[str, Any] = {f"f:{OWNER}": {}} if marked_by_us else {}
            entries.append(
                {
                    "manager": "secret-sync",
                    "operation": "Apply",
                    "fieldsV1": {
                        "f:data": {f"f:{key}": {} for key in ours},
                        "f:metadata": {"f:annotations": annotations},
                    },
                }
            )
        if others:
            entries.append(
                {
                    "manager": "kubectl",
                    "operation": "Update",
                    "fieldsV1": {"f:data": {f"f:{key}": {} for key in others}},
                }
            )
        if by_string_data:
            entries.append(
                {
                    "manager": "kubectl",
                    "operation": "Apply",
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsV1": {"f:stringData": {f"f:{key}": {} for key in by_string_data}},
                }
            )
        return secret_from_metadata(
            {
                "metadata": {
                    "namespace": "ns",
                    "name": "some",
                    "uid": "secret-uid",
                    "resourceVersion": "20",
                    "annotations": {OWNER: mark} if mark else {},
                    "ownerReferences": [{"uid": uid} for uid in owners],
                    "managedFields": entries,
                    **metadata,
                }
            }
        )

    return make


@pytest.fixture
def make_planner(
    make_store: Callable[..., SecretStore], make_secret: Callable[..., SecretMeta]
) -> Callable[..., Planner]:
    """A cluster with the store ``ns/store`` and its Secret ``ns/key``, unless told otherwise."""

    def make(*stores: SecretStore, secrets: tuple[str, ...] = ("ns/key",), **more: Any) -> Planner:
        cluster = Cluster()
        cluster.add(*(stores or (make_store(),)))
        for namespace, _, name in (key.partition("/") for key in secrets):
            cluster.add(make_secret(namespace=namespace, name=name))
        return cluster.planner(**more)

    return make


@pytest.fixture
def make_harness(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> Callable[..., HandlersHarness]:
    return lambda **more: HandlersHarness(make_es(), make_store(), **more)
