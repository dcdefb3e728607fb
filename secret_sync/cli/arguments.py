"""What the commands for people share: their flags, and one line for wrong usage."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from secret_sync.settings import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours, and whose texts keep their lines.

    Args:
        name: The command, after ``secret-sync``.
        description: What stands in its help before the flags, line by line.
        epilog: What stands behind them.
    """

    def __init__(self, name: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"secret-sync {name}",
            description=description,
            epilog=epilog or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Ends the command with one line and the exit code of wrong usage."""
        raise UsageError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which cluster, and what of it.

    Attributes:
        everywhere: All namespaces.
        namespace: The one that was named; ``""`` for the kubeconfig's.
        kubeconfig: Paths as in the variable ``KUBECONFIG``; ``""`` for the usual places.
    """

    everywhere: bool = False
    namespace: str = ""
    kubeconfig: str = ""


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say which cluster and which namespaces."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-A", "--all-namespaces", dest="everywhere", action="store_true", help="in all namespaces"
    )
    where.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        default="",
        help="in this namespace (default: that of the kubeconfig's context, else 'default')",
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="which cluster (default: $KUBECONFIG, else the pod's own, else ~/.kube/config)",
    )


def scope_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Scope:
    """Reads the flags of :func:`add_scope`."""
    return Scope(
        everywhere=arguments.everywhere,
        namespace=arguments.namespace,
        kubeconfig=arguments.kubeconfig or environ.get("KUBECONFIG", ""),
    )
