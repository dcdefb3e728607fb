"""What an ExternalSecret says about restarts, as users and enemies write it."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import ExternalSecret
from secret_sync.resources.external_secret import workloads_of
from secret_sync.resources.names import RESTART_ANNOTATION
from secret_sync.resources.restart import MAX_WORKLOADS, RestartStatus, RolloutRestart, Workload

SHOP = Workload("Deployment", "shop")


def read(annotation: Any = None, field: Any = None) -> RolloutRestart | None:
    annotations = {} if annotation is None else {RESTART_ANNOTATION: annotation}
    return RolloutRestart.from_dict(annotations, {} if field is None else {"rolloutRestart": field})


@pytest.mark.parametrize(
    "text",
    [
        "deployment/shop",
        " Deployment/shop ,",
        "deployments/shop,deploy/shop",
        "deploy/shop,,deployment/shop",
    ],
)
def test_annotation_takes_the_spellings_of_kubectl(text: str) -> None:
    assert read(text) == RolloutRestart((SHOP,))


def test_field_and_annotation_add_up() -> None:
    found = read("sts/db,ds/agent", [{"kind": "Deployment", "name": "shop"}])
    assert found == RolloutRestart(
        (Workload("StatefulSet", "db"), Workload("DaemonSet", "agent"), SHOP)
    )


@pytest.mark.parametrize(("annotation", "field"), [(None, None), ("", []), (" , ", None)])
def test_nothing_named_is_nothing(annotation: Any, field: Any) -> None:
    assert read(annotation, field) is None


@pytest.mark.parametrize(
    "text",
    [
        "shop",
        "cronjob/shop",
        "deployment/",
        "deployment/a/b",
        "deployment/..",
        "deployment/%2e%2e",
        "deployment/Shop",
        "deployment/shop\n",
        "deployment/a?dryRun=All",
        "deployment/\u0430",
        "other-namespace/deployment/shop",
        "deployment/" + "a" * 254,
    ],
)
def test_annotation_that_names_no_workload_is_invalid(text: str) -> None:
    found = read(f"deployment/good,{text},")
    # A line break at the end is none of the name.
    if text.strip() != text:
        assert found is not None
        assert found.invalid is None
        return
    assert found is not None
    assert found.workloads == ()
    assert found.invalid is not None
    assert "write deployment/NAME" in found.invalid.message
    assert len(found.invalid.message) < 400


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"kind": "CronJob", "name": "shop"},
            (
                "spec.target.rolloutRestart[0].kind is 'CronJob'; it can be Deployment, "
                "StatefulSet or DaemonSet"
            ),
        ),
        (
            {"kind": "Deployment", "name": "a/b"},
            "spec.target.rolloutRestart[0].name is 'a/b', which no Deployment can have",
        ),
        (
            {"kind": "Deployment"},
            "spec.target.rolloutRestart[0].name is '', which no Deployment can have",
        ),
    ],
)
def test_item_that_is_no_workload_is_invalid(item: dict[str, Any], message: str) -> None:
    found = read(field=[item])
    assert found is not None
    assert found.invalid is not None
    assert found.invalid.message == message


@pytest.mark.parametrize("text", [",".join(f"deploy/a{n}" for n in range(17)), "x" * 10**6])
def test_workloads_beyond_the_limit_are_refused_without_being_kept(text: str) -> None:
    found = read(text)
    assert found is not None
    assert found.workloads == ()
    assert found.invalid is not None
    assert f"more than {MAX_WORKLOADS} workloads" in found.invalid.message


def test_object_is_listed_under_its_workloads() -> None:
    metadata = {
        "namespace": "ns",
        "name": "some",
        "uid": "u",
        "resourceVersion": "1",
        "annotations": {RESTART_ANNOTATION: "deployment/shop,sts/shop"},
    }
    es = ExternalSecret.from_dict({"metadata": metadata})
    assert workloads_of(es) == ("ns/Deployment/shop", "ns/StatefulSet/shop")
    assert es.renewed({"metadata": metadata, "status": {}}).restart == es.restart
    del metadata["annotations"]
    assert workloads_of(ExternalSecret.from_dict({"metadata": metadata})) == ()


def test_status_reads_what_it_writes() -> None:
    status = RestartStatus("k.1", "k.2", "n", "2026-01-01T00:00:00Z", 3)
    assert RestartStatus.from_dict(status.to_dict()) == status
    assert status.pending
    assert RestartStatus.from_dict(RestartStatus("", "").to_dict()) == RestartStatus("", "")
