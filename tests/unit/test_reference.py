"""docs/reference.md has all there is, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.parse.rules import rename
from tests.unit import reference_checks as checks
from tests.unit.reference_facts import ROOT
from tests.unit.reference_tables import Page

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE = Page((ROOT / "docs" / "reference.md").read_text())
#: Tables that are prose in columns; every row of all others is held against the code.
PROSE = {"to look up", "value in the document", "written", "waiting"}


def page(name: str) -> Page:
    return Page((ROOT / "docs" / name).read_text())


def complaints(of: Page) -> list[str]:
    return [complaint for check in checks.ALL for complaint in check(of)]


@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_the_reference_says_what_the_code_does(check: Callable[[Page], list[str]]) -> None:
    assert check(REFERENCE) == []


def test_every_link_of_the_reference_leads_somewhere() -> None:
    assert checks.check_links(REFERENCE, page) == []


def checked_rows() -> list[str]:
    return [
        line for table in REFERENCE.tables() if table.head[0] not in PROSE for line in table.lines
    ]


def test_a_row_that_is_taken_out_is_missed() -> None:
    """The checks themselves: without any one row somebody complains."""
    lines = checked_rows()
    assert len(lines) > 250
    # What a later row of the same text would make up for is no row of its own.
    assert [line for line in lines if not complaints(REFERENCE.without(line))] == []


@pytest.mark.parametrize(
    ("before", "made_up"),
    [
        ("| `spec.provider` |", "| `spec.providers` | text | | what |"),
        ("| `<entry>.name` |", "| `<entry>.names` | text | | what |"),
        ("| `<auth>.ramRoleARN` |", "| `<auth>.ramRole` | text | | what |"),
        ("| `status.target` |", "| `status.targets` | text | what |"),
        ("| `Synced` | the", "| `InSync` | it is | yes | nothing |"),
        ("| `Updated` |", "| `Renewed` | Normal | ExternalSecret | now and then |"),
        ("| `lastUpdatedAt` |", "| `firstUpdatedAt` | label | Secret | what |"),
        ("| `--uid` |", "| `--gid` | `SECRET_SYNC_GID` | ID | | group |"),
        ("| `SSL_CERT_FILE` |", "| `SSL_CERT_DIR` | what |"),
        ("| `workqueue_depth` | gauge", "| `workqueue_width` | gauge | `name` | what |"),
        ("| `/readyz` |", "| `/livez` | always | never |"),
        ("| `secret-sync run` |", "| `secret-sync walk` | slowly |"),
        ("| 130 |", "| 131 | what |"),
        ("| JSON document |", "| XML document | 1 MiB |"),
    ],
)
def test_a_row_that_is_made_up_is_noticed(before: str, made_up: str) -> None:
    (line,) = [line for line in checked_rows() if line.startswith(before)]
    assert complaints(REFERENCE.with_row(line, made_up)) != []


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("| `spec.rotationInterval` | text |", "| `spec.rotationInterval` | number |"),
        ("| `<entry>.key` | text | required |", "| `<entry>.key` | text | |"),
        ("| `Periodic`, `OnChange`, `CreatedOnce` | `Periodic` |", "| `Periodic` | `Periodic` |"),
        ("| LIST | all | only objects", "| LIST | none | only objects"),
        ("| DURATION | 120s |", "| DURATION | 60s |"),
        ("| counter | `provider`, `result` |", "| counter | `provider` |"),
        ("| `ok`, `throttled`,", "| `good`, `throttled`,"),
        ("| YAML document | 128 KiB |", "| YAML document | 1 MiB |"),
        ("`acss`, `css`", "`acss`"),
        ("| no: 5 min | check key", "| no: 9 min | check key"),
        ("the annotation `force-sync`", "the annotation `secret-sync.alibabacloud.com/force`"),
    ],
)
def test_a_cell_that_is_wrong_is_noticed(written: str, instead: str) -> None:
    assert REFERENCE.text.count(written) >= 1
    assert complaints(Page(REFERENCE.text.replace(written, instead))) != []


def test_the_patterns_allow_what_the_table_says() -> None:
    exact, port, below, below_port = REFERENCE.column("Endpoints", "pattern")
    hosts = ["kms.example.com", "kms.example.com:8443", "a.kms.example.com", "a.b.kms.example.com"]
    allowed = {p: [h for h in hosts if EndpointRules((p,)).allow(h)] for p in (exact, port, below)}
    assert allowed == {exact: hosts[:1], port: hosts[1:2], below: hosts[2:]}
    rules = EndpointRules((below_port,))
    assert rules.allow("a.kms.example.com:8443")
    assert not rules.allow("a.kms.example.com")


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("$1-", "a-"),
        ("${1}-", "a-"),
        ("$name", "b"),
        ("${name}!", "b!"),
        ("<$1_x>", "<>"),
        ("<${1}_x>", "<a_x>"),
        ("$$1", "$1"),
        ("<$9>", "<>"),
    ],
)
def test_what_stands_for_groups(target: str, key: str) -> None:
    assert rename(["ab"], [("(a)(?P<name>b)", target)]) == [key]
