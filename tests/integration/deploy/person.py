"""Somebody who follows docs/install.md, command by command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.migration.shell import Shell

TEXT: Final = (ROOT / "docs" / "install.md").read_text()


class Person:
    """In a folder with ``crds`` and ``deploy``, where the kustomization of the document is theirs.

    Attributes:
        cluster: Its folder ``my-cluster``.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.cluster: Path = shell.folder / "my-cluster"
        self.writes(fenced("yaml kustomization"))

    def writes(self, text: str, place: str = "") -> None:
        """Their kustomization, or that of a folder in it."""
        (self.cluster / place).mkdir(parents=True, exist_ok=True)
        (self.cluster / place / "kustomization.yaml").write_text(text)

    async def follows(self, part: str) -> None:
        code, out = await self._shell.run(fenced(f"sh {part}"))
        assert code == 0, out

    async def asks(self, part: str) -> list[str]:
        """The last line of what each command answers, whatever its exit code is."""
        answers = [await self._shell.run(line) for line in fenced(f"sh {part}").splitlines()]
        return [out.strip().splitlines()[-1] for _, out in answers]


def fenced(info: str, number: int = 0) -> str:
    """A block of the document whose fence says exactly this; by default the first one."""
    found = re.findall(rf"^```{info}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found, info
    return str(found[number])
