"""What a cluster makes of our manifests: the definitions of our kinds, and deploy/base."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.crd_kubectl import CRDS, GROUP, PLURALS, ROOT, path_of

if TYPE_CHECKING:
    import subprocess

    from secret_sync.local.controlplane.endpoint import EndpointResponse
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.crd_kubectl import CrdKubectl

DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def documented(kubectl: CrdKubectl) -> CrdKubectl:
    """The API server publishes its OpenAPI document some time after a CRD is established."""
    deadline = time.monotonic() + 30
    while any(kubectl.run("explain", plural).returncode for plural in PLURALS):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return kubectl


def documents(folder: str) -> list[Any]:
    """Each object of a folder as a parameter, called after its file and name."""
    return [
        pytest.param(document, id=f"{path.stem}-{document['metadata']['name']}")
        for path in sorted((DATA / folder).glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def an_object(kind: str, spec: dict[str, Any], name: str = "some") -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def dump(document: dict[str, Any]) -> str:
    return json.dumps(document)


@pytest.mark.usefixtures("kubectl")
def test_definitions_are_established_and_free_of_complaints(control_plane: ControlPlane) -> None:
    for plural in PLURALS:
        answer = control_plane.admin.request(
            "GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{GROUP}"
        )
        conditions = {each["type"]: each["status"] for each in answer.body["status"]["conditions"]}
        # A schema that is not structural would add NonStructuralSchema.
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("mode", [(), ("--server-side",)], ids=["client-side", "server-side"])
@pytest.mark.parametrize("document", documents("guide"))
def test_the_guides_objects_apply_unchanged_and_whole(
    kubectl: CrdKubectl, namespace: str, document: dict[str, Any], mode: tuple[str, ...]
) -> None:
    # As the guide has it, an object that names no namespace goes to the current one.
    home = document["metadata"].get("namespace", namespace)
    kubectl("apply", "-n", home, "--validate=strict", *mode, "-f", "-", given=dump(document))
    stored = kubectl.stored(document, home)
    if home != namespace:
        kubectl.delete(document, home)
    for field in ("spec", "data", "type"):
        assert stored.get(field) == document.get(field)


@pytest.mark.parametrize("document", documents("ack") + documents("ours"))
def test_ack_secret_managers_objects_and_our_own_apply_unchanged_and_whole(
    kubectl: CrdKubectl, namespace: str, document: dict[str, Any]
) -> None:
    kubectl(
        "apply", "-n", namespace, "--validate=strict", "--server-side", "-f", "-",
        given=dump(document),
    )  # fmt: skip
    assert kubectl.stored(document, namespace).get("spec") == document.get("spec")
    # No controller is here to take the finalizer off when the namespace goes.
    kubectl.release(document, namespace)
    if document["kind"].startswith("Cluster"):
        # It goes with no namespace, and other tests of this cluster would see it.
        kubectl.delete(document, namespace)


@pytest.mark.parametrize(
    "kind_and_status",
    [
        (
            "ExternalSecret",
            {
                "observedGeneration": 1,
                "target": "some",
                "lastSyncTime": "2026-01-02T03:04:05Z",
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "Synced",
                        "message": "In step.",
                        "observedGeneration": 1,
                        "lastTransitionTime": "2026-01-02T03:04:05Z",
                    }
                ],
                "dataSyncResults": [
                    {
                        "ExternalSecretKey": "a",
                        "status": "Succeeded",
                        "reason": "Fetched",
                        "versionId": "v1",
                        "synchronizationTime": "2026-01-02T03:04:05Z",
                    }
                ]
                * 2,
            },
        ),
        (
            "SecretStore",
            {
                "observedGeneration": 1,
                "capabilities": "ReadOnly",
                "conditions": [{"type": "Ready", "status": "Unknown"}],
            },
        ),
    ],
    ids=["ExternalSecret", "SecretStore"],
)
def test_status_is_kept_whole(
    kubectl: CrdKubectl, namespace: str, kind_and_status: tuple[str, dict[str, Any]]
) -> None:
    kind, status = kind_and_status
    document = an_object(kind, {})
    kubectl("create", "-n", namespace, "-f", "-", given=dump(document))
    applied = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
    kubectl(
        "apply", "-n", namespace, "--server-side", "--subresource=status", "-f", "-",
        given=dump(applied | {"status": status}),
    )  # fmt: skip
    assert kubectl.stored(document, namespace)["status"] == status


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (
            an_object("ExternalSecret", {"data": [{"key": "a"}]}),
            {
                "dataSyncResults": [
                    {"status": "Succeeded", "synchronizationTime": "2026-01-02T03:04:05Z"},
                    {"ExternalSecretKey": "template_processing_warnings", "status": "Warning"},
                ]
            },
        ),
        (
            an_object("SecretStore", {"KMS": {}}),
            {
                "capabilities": "ReadOnly",
                "clientGeneration": 3,
                "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}],
            },
        ),
    ],
    ids=["ExternalSecret", "SecretStore"],
)
def test_a_status_that_ack_secret_manager_left_blocks_no_later_write(
    kubectl: CrdKubectl, namespace: str, document: dict[str, Any], status: dict[str, Any]
) -> None:
    finalizers = ["finalizer.ack.secrets-manager.alibabacloud.com"]
    document = document | {"metadata": document["metadata"] | {"finalizers": finalizers}}
    kubectl("create", "-n", namespace, "-f", "-", given=dump(document))
    kind, name = document["kind"], document["metadata"]["name"]
    kubectl(
        "patch", kind, "-n", namespace, name, "--type=merge", "--subresource=status",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    kubectl.release(document, namespace)
    assert "finalizers" not in kubectl.stored(document, namespace)["metadata"]


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"data": [{"name": "a"}]}, "spec.data[0].key: Required value"),
        ({"dataProcess": [{"extract": {}}]}, "spec.dataProcess[0].extract.key: Required value"),
        (
            {"data": [{"key": "a", "secretStoreRef": {"namespace": "b"}}]},
            "spec.data[0].secretStoreRef.name: Required value",
        ),
        (
            {"data": [{"key": "a", "jmesPath": [{"path": "b"}]}]},
            "spec.data[0].jmesPath[0].objectAlias: Required value",
        ),
        (
            {"dataProcess": [{"extract": {"key": "a"}, "replaceRule": [{"target": "b"}]}]},
            "spec.dataProcess[0].replaceRule[0].source: Required value",
        ),
        (
            {"data": [{"key": "a", "secretStoreRef": {"name": "b", "kind": "Vault"}}]},
            'supported values: "SecretStore", "ClusterSecretStore"',
        ),
        ({"rotationInterval": "often"}, "must be a duration such as 30s, 2m30s or 1h"),
        ({"rotationInterval": "5 m"}, "must be a duration such as 30s, 2m30s or 1h"),
        ({"rotationInterval": 120}, "spec.rotationInterval: expected string"),
        ({"refreshPolicy": "Never"}, 'supported values: "Periodic", "OnChange", "CreatedOnce"'),
        ({"target": {"name": "Not_A_Name"}}, "must be a name that a Secret can have"),
        ({"target": {"creationPolicy": "Orphan"}}, 'supported values: "Owner", "Merge"'),
        ({"target": {"deletionPolicy": "Keep"}}, 'supported values: "Delete", "Retain"'),
        ({"dataa": []}, "spec.dataa: field not declared in schema"),
    ],
)
def test_impossible_spec_is_refused_with_a_message(
    kubectl: CrdKubectl, namespace: str, spec: dict[str, Any], complaint: str
) -> None:
    given = dump(an_object("ExternalSecret", spec))
    refused = kubectl.run("apply", "-n", namespace, "--server-side", "-f", "-", given=given)
    assert refused.returncode != 0
    assert complaint in refused.stderr


def _entries(count: int) -> list[dict[str, Any]]:
    return [{"key": "a"}] * count


def _picks(count: int) -> dict[str, Any]:
    return {"key": "a", "jmesPath": [{"path": "a", "objectAlias": "b"}] * count}


def _rules(count: int) -> dict[str, Any]:
    return {"extract": {"key": "a"}, "replaceRule": [{"source": "a", "target": "b"}] * count}


@pytest.mark.parametrize(
    ("largest", "larger", "complaint"),
    [
        (
            {"data": _entries(16_384)},
            {"data": _entries(16_385)},
            "spec.data: Too many: 16385: must have at most 16384 items",
        ),
        (
            {"dataProcess": [{"extract": {"key": "a"}}] * 16_384},
            {"dataProcess": [{"extract": {"key": "a"}}] * 16_385},
            "spec.dataProcess: Too many: 16385: must have at most 16384 items",
        ),
        (
            {"data": [_picks(8_192)]},
            {"data": [_picks(8_193)]},
            "spec.data[0].jmesPath: Too many: 8193: must have at most 8192 items",
        ),
        (
            {"dataProcess": [_rules(8_192)]},
            {"dataProcess": [_rules(8_193)]},
            "spec.dataProcess[0].replaceRule: Too many: 8193: must have at most 8192 items",
        ),
        (
            {"data": [{"key": "é" * 8_192}]},
            {"data": [{"key": "é" * 8_193}]},
            "spec.data[0].key: Too long",
        ),
        (
            {"data": [{"key": "a", "jmesPath": [{"path": "a" * 131_072, "objectAlias": "b"}]}]},
            {"data": [{"key": "a", "jmesPath": [{"path": "a" * 131_073, "objectAlias": "b"}]}]},
            "spec.data[0].jmesPath[0].path: Too long",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("kubectl")
def test_the_largest_is_taken_and_what_is_larger_refused_in_words(
    control_plane: ControlPlane,
    namespace: str,
    largest: dict[str, Any],
    larger: dict[str, Any],
    complaint: str,
) -> None:
    def create(spec: dict[str, Any]) -> EndpointResponse:
        document = an_object("ExternalSecret", spec)
        path = path_of(document, namespace).rpartition("/")[0]
        return control_plane.admin.request("POST", path, document)

    refused = create(larger)
    assert refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert complaint in refused.body["message"]
    assert create(largest).status == HTTPStatus.CREATED


@pytest.mark.usefixtures("kubectl")
def test_everything_within_the_budgets_is_taken(
    control_plane: ControlPlane, namespace: str
) -> None:
    """As much as an object may ask for, and more: that it is too much is for a condition to say."""
    picks = [{"path": "a" * 1000, "objectAlias": "b" * 253}] * 65
    spec = {
        "data": [*_entries(8000), {"key": "a", "jmesPath": picks}],
        "dataProcess": [_rules(2000)],
    }
    document = an_object("ExternalSecret", spec)
    path = path_of(document, namespace).rpartition("/")[0]
    assert control_plane.admin.request("POST", path, document).status == HTTPStatus.CREATED


def test_durations_as_go_writes_them_are_taken(kubectl: CrdKubectl, namespace: str) -> None:
    intervals = ["30s", "2m30s", "1h0m0s", "1.5h", ".5m", "0", "-1s", "1us", ""]
    objects = [
        an_object("ExternalSecret", {"rotationInterval": interval}, f"interval-{index}")
        for index, interval in enumerate(intervals)
    ]
    given = dump({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("apply", "-n", namespace, "--server-side", "-f", "-", given=given)


def test_nothing_is_filled_in(kubectl: CrdKubectl, namespace: str) -> None:
    target = {"template": {"templateFrom": [{"configMap": {"name": "a", "items": [{"key": "b"}]}}]}}
    spec = {"data": [{"key": "a", "secretStoreRef": {"name": "b"}}], "target": target}
    document = an_object("ExternalSecret", spec)
    kubectl("create", "-n", namespace, "-f", "-", given=dump(document))
    assert kubectl.stored(document, namespace)["spec"] == spec


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("externalsecret.spec.data", "All or nothing"),
        ("externalsecret.spec.data.key", "name or ARN"),
        ("externalsecret.status.dataSyncResults", "NotWritten"),
        ("secretstore.spec.KMS.KMSAuth", "without fallback if it fails"),
        ("secretstore.spec.KMS.KMSAuth.roleSessionExpiration", '"3600"'),
    ],
)
def test_explain(documented: CrdKubectl, field: str, words: str) -> None:
    # kubectl breaks the lines of a description.
    assert words in " ".join(documented("explain", field).split())


def test_columns_of_an_external_secret(kubectl: CrdKubectl, namespace: str) -> None:
    spec = {
        "data": [{"key": "a"}],
        "dataProcess": [{"extract": {"key": "b", "secretStoreRef": {"name": "reader"}}}],
    }
    kubectl("create", "-n", namespace, "-f", "-", given=dump(an_object("ExternalSecret", spec)))
    status = {
        "target": "the-secret",
        "lastSyncTime": "2026-01-02T03:04:05Z",
        "conditions": [{"type": "Ready", "status": "False", "reason": "NotFound"}],
    }
    kubectl(
        "patch", "aes", "-n", namespace, "some", "--type=merge", "--subresource=status",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    header, row = kubectl("get", "aes", "-n", namespace).splitlines()
    columns = ["NAME", "STORE", "TARGET", "READY", "REASON", "LAST", "SYNC", "AGE"]
    assert header.split() == columns
    assert row.split()[:5] == ["some", "reader", "the-secret", "False", "NotFound"]


def test_columns_of_a_store_and_the_category(kubectl: CrdKubectl, namespace: str) -> None:
    store = an_object("SecretStore", {"KMS": {"KMSAuth": {}}}, "reader")
    kubectl("create", "-n", namespace, "-f", "-", given=dump(store))
    assert kubectl("get", "ass", "-n", namespace).split()[:4] == ["NAME", "READY", "REASON", "AGE"]
    assert f"secretstore.{GROUP}/reader" in kubectl("get", "secret-sync", "-n", namespace)


def test_two_managers_cannot_mix_one_reference(kubectl: CrdKubectl, namespace: str) -> None:
    def apply(manager: str, reference: dict[str, str]) -> subprocess.CompletedProcess[str]:
        store = an_object("SecretStore", {"KMS": {"KMSAuth": {"accessKey": reference}}})
        return kubectl.run(
            "apply", "-n", namespace, "--server-side", "--field-manager", manager, "-f", "-",
            given=dump(store),
        )  # fmt: skip

    assert apply("one", {"name": "a", "key": "id"}).returncode == 0
    # Were it not atomic, the second would add its namespace to the name of the first.
    assert "conflict" in apply("two", {"name": "a", "key": "id", "namespace": "b"}).stderr


def test_the_definitions_for_old_servers_are_taken_and_have_no_rules(kubectl: CrdKubectl) -> None:
    """That they are ours but for the rules: tests/unit/test_crds.py."""
    legacy = str(CRDS / "legacy")
    built = list(yaml.safe_load_all(kubectl("kustomize", legacy)))
    names = {document["metadata"]["name"] for document in built}
    assert names == {f"{plural}.{GROUP}" for plural in PLURALS}
    assert "x-kubernetes-validations" not in json.dumps(built)
    kubectl("apply", "--server-side", "--dry-run=server", "-k", legacy)
