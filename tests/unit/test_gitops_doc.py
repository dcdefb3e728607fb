"""docs/gitops.md: its snippets are complete, and its Lua agrees with kstatus on every state."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from secret_sync.resources import Reason
from secret_sync.resources.conditions import STALLED_REASONS
from tests.kstatus.objects import STATUSES, VERDICTS
from tests.support.documentation import section
from tests.support.gitops import ARGO_CD, DOCUMENT, argo_cd_health, snippet

ROWS: list[dict[str, Any]] = [
    # Argo CD itself reports what is being deleted.
    row
    for row in json.loads(VERDICTS.read_text())
    if row["verdict"] != "Terminating"
]


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_lua_for_argo_cd_agrees_with_kstatus(row: dict[str, Any]) -> None:
    status, message = argo_cd_health(row["object"])
    if row["name"].endswith("/without status"):
        # Better than kstatus: nobody has looked at it.
        assert status == "Progressing"
    else:
        assert status == ARGO_CD[row["verdict"]]
    observed = row["object"].get("status", {}).get("observedGeneration")
    reported = observed == row["object"]["metadata"]["generation"]
    assert message.endswith(": why") is reported
    assert (message == "waiting for secret-sync") is not reported


def test_health_checks_are_for_all_kinds() -> None:
    keys = {f"resource.customizations.health.alibabacloud.com_{kind}" for kind in STATUSES}
    assert snippet("argocd-cm")["data"].keys() == keys
    checks = snippet("flux")["spec"]["healthCheckExprs"]
    assert {check["kind"] for check in checks} == set(STATUSES)
    assert {check["apiVersion"] for check in checks} == {"alibabacloud.com/v1alpha1"}


def test_ignored_fields_are_those_that_are_removed() -> None:
    ignored = snippet("ignore")["spec"]["ignoreDifferences"]
    assert {rule["kind"] for rule in ignored} == {"ExternalSecret", "SecretStore"}
    assert {p for rule in ignored for p in rule["jsonPointers"]} == {"/metadata/finalizers"}


def test_wave_comes_after_all_that_its_objects_wait_for() -> None:
    waits_for = {
        Reason.ACCESS_KEY_NOT_FOUND: ("Secrets", "stores"),
        Reason.SERVICE_ACCOUNT_NOT_FOUND: ("ServiceAccounts", "stores"),
        Reason.TEMPLATE_SOURCE_NOT_FOUND: ("ConfigMaps", "ExternalSecrets"),
        Reason.STORE_NOT_FOUND: ("stores", "ExternalSecrets"),
    }
    rows = re.findall(r'^\| ([^|]+) \| `"(-\d)"` \|', section(DOCUMENT, "Order").text, re.MULTILINE)
    waves = {kind: int(wave) for what, wave in rows for kind in re.findall(r"\w+", what)}
    for reason, (first, second) in waits_for.items():
        # While it is Progressing, Argo CD does not begin the next wave.
        assert reason not in STALLED_REASONS
        assert waves[first] < waves[second], reason
    annotations = snippet("waves")["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-wave"] == str(waves["ExternalSecrets"])
