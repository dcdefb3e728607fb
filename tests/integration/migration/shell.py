"""Runs what a document says, as it says it, and compares what is to be seen."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.support.documentation import ROOT, sections
from tests.support.program import PROGRAM, environment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane

DOCUMENT: Final = "docs/migrating.md"
_STEP = re.compile(
    r"^```sh ([a-z-]+)\n(.*?)^```\n(?:\n*^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Step:
    """Commands of the document and what it says is to be seen then.

    Attributes:
        kind: What the fence says after ``sh``.
        seen: Lines of the output; ``...`` stands for anything, more lines may be around them.
    """

    kind: str
    commands: str
    seen: tuple[str, ...]


def steps(*kinds: str, document: str = DOCUMENT) -> list[Step]:
    """The steps of these kinds, in the order of the document."""
    text = "\n".join(section.text for section in sections(document))
    found = [Step(k, c, tuple(filter(None, s.splitlines()))) for k, c, s in _STEP.findall(text)]
    return [step for step in found if not kinds or step.kind in kinds]


@dataclass(frozen=True)
class Shell:
    """A folder with the repository's manifests in it, and the programs on the path."""

    folder: Path
    kubeconfig: str

    @classmethod
    def of_reader(cls, plane: ControlPlane, folder: Path, overlay: str = "") -> Shell:
        """With the kustomization of the document written down, of another overlay maybe."""
        shell = cls.in_folder(plane, folder)
        (text,) = [found for s in sections(DOCUMENT) for found in s.fenced("yaml kustomization")]
        if overlay:
            text = text.replace("overlays/ack-compat", f"overlays/{overlay}")
        (folder / "my-cluster").mkdir()
        (folder / "my-cluster" / "kustomization.yaml").write_text(text)
        return shell

    @classmethod
    def in_folder(cls, plane: ControlPlane, folder: Path) -> Shell:
        programs = folder / "bin"
        programs.mkdir()
        (programs / "kubectl").symlink_to(plane.binaries.kubectl)
        for name in ("secret-sync", "kubectl-secret_sync"):
            (programs / name).symlink_to(PROGRAM.with_name(name))
        for name in ("crds", "deploy"):
            (folder / name).symlink_to(ROOT / name)
        return cls(folder, str(plane.kubeconfig))

    async def run(self, commands: str) -> tuple[int, str]:
        """The exit code, and what was written to both outputs."""
        variables = environment({"KUBECONFIG": self.kubeconfig})
        variables["PATH"] = f"{self.folder / 'bin'}:{variables['PATH']}"
        variables["HOME"] = str(self.folder)
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", commands),
            env=variables,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(90):
            out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def follow(self, step: Step) -> str:
        """Takes a step; what the document shows has to be seen."""
        code, out = await self.run(step.commands)
        assert code == 0, f"{step.commands}\n{out}"
        shows(out, step.seen)
        return out


def shows(out: str, seen: Iterable[str]) -> None:
    """The output has these lines, in this order; ``...`` stands for anything."""
    lines = iter(out.splitlines())
    for expected in seen:
        pattern = re.compile(_pattern(expected))
        assert any(pattern.fullmatch(line.strip()) for line in lines), f"{expected!r}\n{out}"


def _pattern(line: str) -> str:
    words = (re.escape(word).replace(re.escape("..."), ".*") for word in line.split())
    return r"\s+".join(words)
