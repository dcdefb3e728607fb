"""The table of kubeconfigs in docs/reference.md, held against the reader."""

from __future__ import annotations

import re
from pathlib import Path

from secret_sync.kube import access, issuer
from secret_sync.kube.kubeconfig import fields, plugin, read, yaml_file
from tests.integration.kube.kubeconfig_cases import CASES
from tests.integration.kube.kubeconfig_setup import OURS, THEIRS

TEXT = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
SECTION = TEXT.partition("## Kubeconfig\n")[2].partition("\n## ")[0]
#: Where each file that only one of both accepts is described.
TOLD = {
    "user: no user": "no credentials",
    "user: auth-provider": "`auth-provider`",
    "user: unknown field": "fields that kubectl does not know",
    "cluster: unknown field": "fields that kubectl does not know",
    "cluster: proxy-url: socks5": "`socks5://` is refused",
    "cluster: a server without a scheme": "`HOST:PORT`",
    "odd: a field twice": "the same field twice",
    "odd: two documents": "several YAML documents",
}


def test_each_field_is_in_it() -> None:
    known = read.CLUSTER_FIELDS | read.USER_FIELDS | read.EXEC_FIELDS
    assert known <= set(re.findall(r"`([\w-]+)`", SECTION))


def test_each_difference_is_in_it() -> None:
    differences = {name for name, case in CASES.items() if case.outcome in {OURS, THEIRS}}
    assert differences == set(TOLD)
    assert not [words for words in TOLD.values() if words not in SECTION]


def test_kubeconfig_doc_has_the_numbers_of_the_code() -> None:
    assert access.REREAD_AFTER == 60
    assert f"{issuer.AHEAD:g} s, or a quarter" in SECTION
    assert issuer.AHEAD_PART == 0.25
    assert f"at most every\n{issuer.AFTER_REFUSAL:g} s" in SECTION
    assert f"{plugin.ANSWER_WITHIN:g} s to answer" in SECTION
    assert f"for {access.RENEW_WITHIN:g} s at most" in SECTION
    assert f"after {issuer.BACKOFF.bound(1):g} s, later after {issuer.BACKOFF.cap:g} s" in SECTION


def test_kubeconfig_doc_has_the_limits_of_the_code() -> None:
    assert f"{fields.MAX_BYTES // 2**20} MiB" in SECTION
    assert f"{yaml_file.MAX_LEVELS} levels" in SECTION
