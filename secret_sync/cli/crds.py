"""``secret-sync crds``: print the CRDs of this version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.cli.arguments import Parser
from secret_sync.cli.terminal import say
from secret_sync.errors import SecretSyncError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION: Final = """\
Prints the CRDs of this version as YAML:

  secret-sync crds | kubectl apply --server-side -f -"""


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``crds``.

    Raises:
        SecretSyncError: The installation is incomplete.
        UsageError: The command line is invalid.
    """
    parser = Parser("crds", _DESCRIPTION)
    parser.add_argument(
        "--legacy",
        action="store_true",
        help="for Kubernetes before 1.25: without validation rules",
    )
    folder = find_crds()
    if parser.parse_args(list(argv)).legacy:
        folder /= "legacy"
    files = sorted(path for path in folder.glob("*.yaml") if path.stem != "kustomization")
    say("---\n".join(path.read_text(encoding="utf-8") for path in files))
    return 0


def find_crds() -> Path:
    """Return the folder of our CRDs: in the package, or beside it in a checkout.

    Raises:
        SecretSyncError: The folder is missing.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "crds", package.parent / "crds"):
        if (folder / "externalsecrets.yaml").is_file():
            return folder
    raise SecretSyncError("the CRDs are missing: this installation is incomplete")
