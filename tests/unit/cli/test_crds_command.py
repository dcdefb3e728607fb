"""``secret-sync crds`` prints what ``kubectl apply -k crds`` applies."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from secret_sync import cli

CRDS = Path(__file__).parents[3] / "crds"


@pytest.mark.parametrize(("arguments", "folder"), [([], CRDS), (["--legacy"], CRDS / "legacy")])
def test_crds_are_those_of_the_kustomization(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["crds", *arguments]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    expected = [yaml.safe_load((folder / name).read_text()) for name in sorted(listed)]
    assert printed == expected
    assert {found["kind"] for found in printed} == {"CustomResourceDefinition"}


def test_other_arguments_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["crds", "externalsecrets"]) == 2
    assert "unrecognized arguments" in capsys.readouterr().err
