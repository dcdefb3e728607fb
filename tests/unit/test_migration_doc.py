"""What docs/migrating.md names exists, and each value of ack-secret-manager's charts is in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.resources import Reason, names
from secret_sync.settings import parse_run_arguments
from secret_sync.settings.flags import GROUPS, variable
from tests.support.documentation import ROOT, section, sections

if TYPE_CHECKING:
    from tests.support.documentation import Section

DOCUMENT = "docs/migrating.md"
TEXT = (ROOT / DOCUMENT).read_text()
CHARTS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "tests" / "data" / "ack" / "charts").glob("*.yaml"))
}
FLAGS = {f"--{name}" for group in GROUPS.values() for f in group for name in (f.name, *f.former)}
#: Flags of other programs, in the commands that the document has.
THEIRS = {
    *("--all-namespaces", "--cascade", "--dry-run", "--exit-code", "--for", "--force-conflicts"),
    *("--ignore-not-found", "--keep-secrets", "--replicas", "--server-side", "--timeout", "--yes"),
}
#: What is to be seen of a chart's flags; None: nothing, but for a word in the log.
MEANT: dict[str, tuple[str, object] | None] = {
    "--backend": None,
    "--token-rotation-period": None,
    "--process-cluster-secret-store": None,
    "--process-cluster-external-secret": ("process_cluster_external_secret", True),
    "--reconcile-period": ("reconcile_period", 5.0),
    "--reconcile-count": ("reconcile_count", 1),
    "--polling-interval": ("polling_interval", 120.0),
    "--disable-polling": ("disable_polling", False),
    "--region": ("region", "cn-beijing"),
    "--kms-endpoint": ("kms_endpoint", "kms.cn-beijing.aliyuncs.com"),
    "--max-concurrent-kms-secret-pulls": ("max_concurrent_kms_secret_pulls", 10),
    "--max-concurrent-oos-secret-pulls": ("max_concurrent_oos_secret_pulls", 10),
    "--enable-worker-role": ("enable_worker_role", True),
    "--cleanup-secret-on-failure": ("cleanup_secret_on_failure", False),
    "--cluster-id": ("cluster_id", "c0123456789"),
    "--uid": ("uid", "1234567890123456"),
    "--watch-namespaces": ("watch_namespaces", ("shop", "billing")),
    "--exclude-namespaces": ("exclude_namespaces", ("kube-system",)),
}
#: What the fence of a command says.
KINDS = ("look", "retire", "install", "check", "adopt", "tidy", "tidy-account", "back")
#: Values that have no default, as an operator sets them.
SET = {
    "command.region": "cn-beijing",
    "command.kmsEndpoint": "kms.cn-beijing.aliyuncs.com",
    "command.clusterId": "c0123456789",
    "command.aliuid": "1234567890123456",
    "command.watchNamespaces": "shop,billing",
    "command.excludeNamespaces": "kube-system",
}


def rendered(chart: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """The arguments of the chart's container, as Helm writes them."""
    arguments = []
    assert chart["flags"]
    for flag in chart["flags"]:
        value = {**chart["defaults"], **values}.get(flag["value"])
        if value is None and flag.get("unlessEmpty"):
            continue
        text = "" if value is None else str(value)
        arguments.append(f"{flag['name']}={text.lower() if isinstance(value, bool) else text}")
    return arguments


def rows(part: Section) -> list[list[str]]:
    """The cells of the section's tables, without their heads."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.text.splitlines()
        if line.startswith("| ")
    ]
    return [row for row in found if row[0] not in {"value", "ack-secret-manager", "reason", ""}]


def blocks(kind: str) -> list[str]:
    return [body for part in sections(DOCUMENT) for body in part.fenced(f"sh {kind}")]


@pytest.mark.parametrize("version", CHARTS)
def test_values_of_a_chart_are_accepted_and_mean_the_same(version: str) -> None:
    chart = CHARTS[version]
    settings = parse_run_arguments(rendered(chart, SET), {})
    assert chart["flags"]
    for flag in chart["flags"]:
        value = chart["defaults"].get(flag["value"])
        if flag["name"].startswith("--enable-cross-namespace-"):
            assert getattr(settings, flag["name"].strip("-").replace("-", "_")) is value
        elif (meant := MEANT[flag["name"]]) is None:
            assert flag["name"] in settings.no_effect
        else:
            assert getattr(settings, meant[0]) == meant[1]


@pytest.mark.parametrize("version", CHARTS)
def test_defaults_of_a_chart_are_accepted(version: str) -> None:
    """Most of 0.5.x passes ``--region=`` then, and 0.6.0 ``--uid=``."""
    settings = parse_run_arguments(rendered(CHARTS[version], {}), {})
    empty = (settings.region, settings.kms_endpoint, settings.cluster_id, settings.uid)
    assert empty == ("", "", "", "")


def test_the_charts_differ() -> None:
    """Otherwise the lists would be copies of one."""
    assert len({str(chart) for chart in CHARTS.values()}) >= 6


def documented_values() -> dict[str, str]:
    """What the table says of each value that it names."""
    table = rows(section(DOCUMENT, "From the chart"))
    return {value: row[2] for row in table for value in re.findall(r"`([a-zA-Z_.]+)`", row[0])}


@pytest.mark.parametrize("version", CHARTS)
def test_every_value_of_a_chart_has_a_row(version: str) -> None:
    chart, documented = CHARTS[version], documented_values()
    values = [*chart["defaults"], *chart["others"]]
    missing = [v for v in values if v not in documented and v.split(".")[0] not in documented]
    # A row about `env` in general does not stand in for these.
    missing += [v for v in values if v.startswith(("env.", "command.")) and v not in documented]
    assert missing == []


def test_every_row_is_about_a_value_of_some_chart() -> None:
    known = {v for chart in CHARTS.values() for v in (*chart["defaults"], *chart["others"])}
    known |= {value.split(".")[0] for value in known}
    assert {value for value in documented_values() if value not in known} == set()


@pytest.mark.parametrize("version", CHARTS)
def test_the_row_of_a_value_names_the_flag_that_it_is_passed_as(version: str) -> None:
    documented = documented_values()
    assert CHARTS[version]["flags"]
    for flag in CHARTS[version]["flags"]:
        assert f"`{flag['name']}`" in documented[flag["value"]]


def test_the_charts_column_is_right() -> None:
    """All, from a version on, or one line of versions: what has the value, and nothing else."""
    table = rows(section(DOCUMENT, "From the chart"))
    found = [(row, v) for row in table for v in re.findall(r"`(command\.[a-zA-Z]+)`", row[0])]
    assert len(found) >= 10
    for row, value in found:
        having = {v for v, c in CHARTS.items() if value in {*c["defaults"], *c["others"]}}
        assert having == {v for v in CHARTS if _covers(row[1], v)}, row


def _covers(said: str, version: str) -> bool:
    number = [int(part) for part in version.split(".")]
    named = [[int(p) for p in v.split(".")] for v in re.findall(r"\d+(?:\.\d+)+", said)]
    if said == "all":
        return True
    if said.endswith(" on"):
        return number >= named[0]
    if " to " in said:
        return named[0] <= number <= named[1]
    return number[: len(named[0])] == named[0]


def test_every_flag_in_the_document_exists() -> None:
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= FLAGS | THEIRS


def test_every_reason_in_the_document_exists() -> None:
    known = {reason.value for reason in Reason}
    said = set(re.findall(r"reasons? `([A-Za-z]+)`", TEXT))
    said |= {word for row in rows(section(DOCUMENT, "5.")) for word in _words(row[0])}
    # Its own reason for its stores.
    assert said - known == {"StoreValid"}
    assert len(said) > 15


def _words(cell: str) -> list[str]:
    return re.findall(r"`([A-Za-z]+)`", cell)


def test_every_annotation_and_variable_in_the_document_exists() -> None:
    known = {getattr(names, name) for name in dir(names) if name.endswith("_ANNOTATION")}
    assert set(re.findall(r"secret-sync\.alibabacloud\.com/[a-z-]+", TEXT)) <= known
    ours = {variable(f.name) for group in GROUPS.values() for f in group}
    assert set(re.findall(r"SECRET_SYNC_[A-Z_]+", TEXT)) <= ours


def test_every_file_in_the_document_exists() -> None:
    paths = set(re.findall(r"`((?:deploy|crds|docs)/[a-z/.-]*)`", TEXT))
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def kustomization(document: str) -> dict[str, Any]:
    """The first one that a document has people write."""
    (text, *_) = [y for s in sections(document) for y in s.fenced("yaml kustomization")]
    return dict(yaml.safe_load(text))


def test_migration_kustomization_is_that_of_the_installation_with_another_overlay() -> None:
    here, there = kustomization(DOCUMENT), kustomization("docs/install.md")
    assert here.pop("resources") == ["../deploy/overlays/ack-compat"]
    assert there.pop("resources") == ["../deploy/overlays/rrsa"]
    # In ack-compat a component has to be told the namespace.
    del there["components"]
    assert here == there


def test_subjects_of_the_trust_policy_are_the_two_service_accounts() -> None:
    (text,) = [found for s in sections(DOCUMENT) for found in s.fenced("json")]
    assert json.loads(f"{{{text}}}")["oidc:sub"] == [
        "system:serviceaccount:kube-system:ack-secret-manager",
        "system:serviceaccount:secret-sync-system:secret-sync",
    ]


def test_every_command_is_one_that_the_tests_run() -> None:
    """By its fence: an integration test follows all steps of each of these kinds."""
    fences = re.findall(r"^```(\S.*)$", TEXT, flags=re.MULTILINE)
    assert set(fences) == {f"sh {kind}" for kind in KINDS} | {"text", "json", "yaml kustomization"}


def test_no_command_uninstalls_or_deletes_what_is_to_stay() -> None:
    for kind in KINDS:
        lines = "".join(blocks(kind)).splitlines()
        assert lines, kind
        for line in lines:
            words = line.split()
            assert words[0] in {"kubectl", "secret-sync", "grep"}, line
            if "delete" in words:
                what = set(words) & {"crd", "externalsecrets", "namespace", "-A", "--all"}
                assert what == set(), line


def test_the_warning_stands_before_everything_else() -> None:
    first = TEXT.index("Never run `helm uninstall")
    assert first < TEXT.index("```")
    assert first < TEXT.index("## ")


def test_every_difference_says_how_to_have_it_as_before() -> None:
    table = rows(section(DOCUMENT, "What is different"))
    assert len(table) > 50
    for row in table:
        assert len(row) == 4, row
        assert row[0], row
        assert row[1], row
        assert row[3], row


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([a-z./]*)#([^)]+)\)", TEXT)
    assert len(links) >= 5
    for name, anchor in links:
        target = (ROOT / "docs" / name).read_text() if name else TEXT
        titles = re.findall(r"^##+ (.+)$", target, flags=re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", t.lower()).replace(" ", "-") for t in titles}
        assert anchor in anchors
