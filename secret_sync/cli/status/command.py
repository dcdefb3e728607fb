"""The command: its flags and exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import connect, namespace_of
from secret_sync.cli.status.snapshot import take_snapshot
from secret_sync.cli.status.tables import render
from secret_sync.cli.status.watch import watch
from secret_sync.cli.terminal import Screen, say, silence
from secret_sync.errors import DefiniteError
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.cli.status.rows import StatusSnapshot

_DESCRIPTION: Final = """\
Shows whether each ExternalSecret is ready, and if not, why. With --all-namespaces, the
ClusterExternalSecrets follow. SecretStores and ClusterSecretStores that are not ready come last, as
far as you have permission to read them.

  READY      the condition Ready; Unknown (yellow) until a controller has reconciled the object
  LAST SYNC  when a change was last written to the Secret; later checks that found no change are
             not recorded
  NEXT SYNC  what the object specifies, since only the controller knows the exact time:
               every 30s         its rotationInterval, plus or minus a tenth
               polling interval  the controller's --polling-interval (default 2m)
               on change         its refreshPolicy is OnChange, or it is not ready for a reason that
                                 only a change mends: a missing store, say
               never             its refreshPolicy is CreatedOnce
               every 1m          the API server, or another writer, keeps the Secret from it
               with backoff      not ready: retried with growing delays, at once after a change
                now               its last change is being reconciled
             A controller with --disable-polling does not poll at all.
  FROM       the ClusterExternalSecret that created it, if there is one
  NAMESPACES how many of its ExternalSecrets are ready, of how many namespaces"""

_EPILOG: Final = """\
-o json prints one document; unknown values are null:
  version          1; it changes when the meaning of a field changes
  ready            whether everything below is ready
  externalSecrets  a list: namespace, name, ready ("True", "False", "Unknown"), upToDate (whether
                   that is about the newest generation), reason, message, target (the Secret),
                   lastSyncTime, refreshPolicy, rotationInterval, clusterExternalSecret
  stores           a list of all stores that can be read: kind, namespace, name, ready, upToDate,
                   reason, message
  clusterExternalSecrets  a list, with --all-namespaces: name, ready, upToDate, reason, message,
                   namespaces (such as "2/3")
  notes            a list of strings: what could not be read, and why

Colours are used on terminals only; NO_COLOR=1 disables them.

Exit codes: 0 success, 1 failure, or with --exit-code: something is not ready, 2 usage error."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``status``.
        environ: The environment.

    Raises:
        SecretSyncError: The cluster cannot be read; the message is one line.
    """
    arguments = _parser().parse_args(list(argv))
    if arguments.watch and (arguments.output != "table" or arguments.exit_code):
        raise UsageError("--watch cannot be combined with -o or --exit-code")
    if arguments.name and (arguments.watch or arguments.everywhere):
        raise UsageError("NAME cannot be combined with --watch or -A")
    logs.configure("error", "auto")
    scope = scope_of(arguments, environ)
    if arguments.watch:
        try:
            asyncio.run(_watch(scope, environ))
        except BrokenPipeError:
            silence()
        return 0
    snapshot = asyncio.run(_snapshot(scope))
    if arguments.name:
        snapshot = snapshot.only(arguments.name)
        if not snapshot.objects:
            raise DefiniteError(
                f"ExternalSecret {snapshot.namespace}/{arguments.name} does not exist"
            )
    say(_text(snapshot, arguments.output, environ))
    return 1 if arguments.exit_code and not snapshot.good else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("status", _DESCRIPTION, _EPILOG)
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one ExternalSecret")
    add_scope(parser)
    parser.add_argument(
        "-w", "--watch", action="store_true", help="watch and redraw on changes, until Ctrl-C"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=["table", "wide", "json"],
        default="table",
        help="output format (default: table); wide adds the Secret and the refreshPolicy",
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="exit with 1 if something is not ready"
    )
    return parser


async def _snapshot(scope: Scope) -> StatusSnapshot:
    async with connect(scope) as client:
        snapshot, _ = await take_snapshot(client, await namespace_of(scope))
        return snapshot


async def _watch(scope: Scope, environ: Mapping[str, str]) -> None:
    async with connect(scope) as client:
        await watch(client, await namespace_of(scope), lambda: Screen.of(sys.stdout, environ))


def _text(snapshot: StatusSnapshot, output: str, environ: Mapping[str, str]) -> str:
    if output == "json":
        return json.dumps(snapshot.to_json(), indent=2) + "\n"
    screen = Screen.of(sys.stdout, environ)
    lines = render(snapshot, screen, datetime.now(UTC), wide=output == "wide")
    return "\n".join(lines) + "\n"
