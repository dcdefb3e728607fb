"""docs/reference.md has all there is, docs/troubleshooting.md an answer to all that is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.resources import Reason
from tests.support.documentation import ROOT, sections
from tests.unit import reference_checks as checks
from tests.unit.parse.extracting import rename
from tests.unit.reference_messages import is_said, literals
from tests.unit.reference_tables import Page, anchor, codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.documentation import Section

REFERENCE = Page((ROOT / "docs" / "reference.md").read_text())
#: Tables that are prose in columns; every row of all others is held against the code. That of
#: kubeconfigs has a test of its own, beside kubectl.
PROSE = {"to look up", "value in the document", "written", "waiting", "kubeconfig", "no effect"}


def page(name: str) -> Page:
    return Page((ROOT / "docs" / name).read_text())


def is_complained_of(of: Page) -> bool:
    return any(check(of) for check in checks.ALL)


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
    assert [line for line in lines if not is_complained_of(REFERENCE.without(line))] == []


@pytest.mark.parametrize(
    ("before", "made_up"),
    [
        ("| `spec.provider` |", "| `spec.providers` | string | | what |"),
        ("| `<entry>.name` |", "| `<entry>.names` | string | | what |"),
        ("| `<auth>.ramRoleARN` |", "| `<auth>.ramRole` | string | | what |"),
        ("| `status.target` |", "| `status.targets` | string | what |"),
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
        ("| 64 characters |", "| 9 characters | `spec.rotation` | what |"),
    ],
)
def test_a_row_that_is_made_up_is_noticed(before: str, made_up: str) -> None:
    (line,) = [line for line in checked_rows() if line.startswith(before)]
    assert is_complained_of(REFERENCE.with_row(line, made_up))


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("| `spec.rotationInterval` | string |", "| `spec.rotationInterval` | integer |"),
        ("| `<entry>.key` | string | required |", "| `<entry>.key` | string | |"),
        ("| `Periodic`, `OnChange`, `CreatedOnce` | `Periodic` |", "| `Periodic` | `Periodic` |"),
        ("| LIST | all | watch only", "| LIST | none | watch only"),
        ("| DURATION | 120s |", "| DURATION | 60s |"),
        ("| counter | `provider`, `result` |", "| counter | `provider` |"),
        ("| `ok`, `throttled`,", "| `good`, `throttled`,"),
        ("| YAML document | 128 KiB |", "| YAML document | 1 MiB |"),
        ("| 64 characters |", "| 32 characters |"),
        ("| 8,192 characters |", "| 4,096 characters |"),
        ("`acss`, `css`", "`acss`"),
        ("| no: 5 min | check key", "| no: 9 min | check key"),
        ("the annotation `force-sync`", "the annotation `secret-sync.alibabacloud.com/force`"),
    ],
)
def test_a_cell_that_is_wrong_is_noticed(written: str, instead: str) -> None:
    assert REFERENCE.text.count(written) >= 1
    assert is_complained_of(Page(REFERENCE.text.replace(written, instead)))


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
def test_placeholders_stand_for_groups(target: str, key: str) -> None:
    assert rename(["ab"], [("(a)(?P<name>b)", target)]) == [key]


TROUBLESHOOTING = "docs/troubleshooting.md"
TROUBLES = page("troubleshooting.md")
#: Flags of kubectl and other programs, in the commands that the page has.
OTHERS = {
    *("--all-namespaces", "--as", "--cascade", "--force-conflicts", "--keep-secrets"),
    *("--overwrite", "--raw", "--sample", "--server-side", "--show-managed-fields", "--type"),
    *("--yes", "--regoin"),
}


def quoted() -> list[str]:
    return [line for part in sections(TROUBLESHOOTING) for line in messages(part)]


def messages(part: Section) -> list[str]:
    return [line for body in part.fenced("text") for line in body.splitlines()]


def test_every_message_of_the_page_is_one_that_is_said() -> None:
    assert len(quoted()) > 120
    assert [line for line in quoted() if not is_said(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "no controller has looked at it yesterday",
        "spec.provider is <'aws'>; it may be kms",
        "<anything at all>",
        "a: <b>",
    ],
)
def test_a_message_that_nobody_says_is_noticed(line: str) -> None:
    assert not is_said(line)


def test_every_line_of_the_log_is_one_that_is_written() -> None:
    lines = [word for row in TROUBLES.rows("The log", "line") for word in codes(row["line"])]
    assert len(lines) > 20
    assert [line for line in lines if line not in {"list", "watch"} and not is_logged(line)] == []


def is_logged(line: str) -> bool:
    return any(line in literal for literal in literals())


def test_definitions_are_quoted_literally() -> None:
    said = TROUBLES.column("kubectl refuses", "kubectl says")
    ours = [word for word in said if word.startswith("must be")]
    assert len(ours) == 2
    assert [word for word in ours if not is_said(word)] == []


def answers() -> dict[str, str]:
    """The section that the table at the top sends each reason to."""
    known = {reason.value for reason in Reason}
    return {
        word: row["go to"]
        for row in TROUBLES.rows("", "you see")
        for word in codes(row["you see"])
        if word in known
    }


def unanswered(of: Page) -> set[str]:
    return {reason.value for reason in Reason} - {
        word for row in of.rows("", "you see") for word in codes(row["you see"])
    }


def test_every_reason_has_an_answer() -> None:
    assert unanswered(TROUBLES) == set()
    parts = {anchor(part.title): part.text for part in sections(TROUBLESHOOTING)}
    for reason, where in answers().items():
        ((_, mark),) = Page(where).links
        assert re.search(rf"\b{reason}\b", parts[mark]), reason


def test_a_reason_without_an_answer_is_noticed() -> None:
    reasons = {reason.value for reason in Reason}
    lines = [line for line in TROUBLES.tables("", "you see")[0].lines if reasons & {*codes(line)}]
    assert len(lines) >= 9
    assert [line for line in lines if not unanswered(TROUBLES.without(line))] == []


def test_every_reason_among_the_headings_exists() -> None:
    titles = re.findall(r"^### (.+)$", TROUBLES.text, flags=re.MULTILINE)
    words = {word for title in titles for word in re.findall(r"\b[A-Z]\w*[a-z][A-Z]\w*", title)}
    assert words - {"ExternalSecret", "CRDs"} <= {reason.value for reason in Reason}


def test_every_name_in_the_page_exists() -> None:
    assert checks.check_words(TROUBLES, OTHERS) == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    assert checks.check_links(TROUBLES, page) == []
