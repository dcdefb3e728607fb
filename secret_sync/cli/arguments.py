"""Arguments that commands share, and one line for a usage error."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from secret_sync.settings import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` and keeps the line breaks of its help.

    Args:
        name: The command, after ``secret-sync``.
        description: Help before the flags.
        epilog: Help after the flags.
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
        """Raise the usage error, which ends the command with one line."""
        raise UsageError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")


@dataclass(frozen=True, slots=True)
class Scope:
    """The cluster and the namespaces that a command is about.

    Attributes:
        everywhere: Whether it is about all namespaces.
        namespace: The given namespace; ``""`` for the kubeconfig's.
        kubeconfig: Paths as in the variable ``KUBECONFIG``; ``""`` for the default ones.
        context: Name of a context of it; ``""`` for the current one.
    """

    everywhere: bool = False
    namespace: str = ""
    kubeconfig: str = ""
    context: str = ""


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the cluster and the namespaces."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-A", "--all-namespaces", dest="everywhere", action="store_true", help="all namespaces"
    )
    where.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        default="",
        help="namespace (default: that of the kubeconfig's context, else 'default')",
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="path to a kubeconfig (default: $KUBECONFIG, the pod's own, or ~/.kube/config)",
    )
    parser.add_argument(
        "--context", metavar="NAME", default="", help="context of the kubeconfig (default: current)"
    )


def scope_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Scope:
    """Return the scope from the flags of :func:`add_scope`."""
    return Scope(
        everywhere=arguments.everywhere,
        namespace=arguments.namespace,
        kubeconfig=arguments.kubeconfig or environ.get("KUBECONFIG", ""),
        context=arguments.context,
    )
