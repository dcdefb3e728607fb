"""The command itself: its flags, and the exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import connect, namespace_of
from secret_sync.cli.status.look import look
from secret_sync.cli.status.tables import draw
from secret_sync.cli.status.watching import watch
from secret_sync.cli.terminal import Screen, say, silence
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.cli.status.rows import Picture

_DESCRIPTION: Final = """\
Shows ExternalSecrets: whether each is ready, and if not, why. Below them the SecretStores and
ClusterSecretStores that are not ready, as far as you may read them.

  READY      the condition Ready; yellow and Unknown also before a controller has looked at it
  LAST SYNC  when a change was last written to the Secret; that nothing has changed since is not
             written down
  NEXT SYNC  what the object asks for, since only the controller knows the moment:
               every 30s         its rotationInterval, give or take a tenth
               polling interval  the controller's --polling-interval (2m unless set otherwise)
               on change, never  its refreshPolicy says so (OnChange, CreatedOnce)
               with backoff      not ready: tried again ever more slowly, at once after a change
             A controller with --disable-polling does not poll at all."""

_EPILOG: Final = """\
-o json prints one document; what is not known is null:
  version          1; other numbers would mean that a field has another meaning
  ready            whether everything below is ready
  externalSecrets  a list: namespace, name, ready ("True", "False", "Unknown"), upToDate (whether
                   that is about the newest generation), reason, message, target (the Secret),
                   lastSyncTime, refreshPolicy, rotationInterval
  stores           a list, of all that can be read: kind, namespace, name, ready, upToDate,
                   reason, message
  notes            a list of texts: what could not be read, and why

Colours are for terminals only; NO_COLOR=1 turns them off.

Exit codes: 0 it was shown, 1 it could not be, or with --exit-code: something is not ready, 2 wrong
usage."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``status``.
        environ: The environment.

    Raises:
        SecretSyncError: The cluster cannot be read; the message is one line.
    """
    arguments = _parser().parse_args(list(argv))
    if arguments.watch and (arguments.output == "json" or arguments.exit_code):
        raise UsageError("--watch shows a table until it is stopped: leave out the other flags")
    logs.configure("error", "auto")
    scope = scope_of(arguments, environ)
    if arguments.watch:
        try:
            asyncio.run(_watch(scope, environ))
        except BrokenPipeError:
            silence()
        return 0
    picture = asyncio.run(_look(scope))
    say(_text(picture, arguments.output, environ))
    return 1 if arguments.exit_code and not picture.good else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("status", _DESCRIPTION, _EPILOG)
    add_scope(parser)
    parser.add_argument(
        "-w", "--watch", action="store_true", help="show it anew when it changes, until Ctrl-C"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=["table", "json"],
        default="table",
        help="for people, or for programs (default: table)",
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="end with 1 if something is not ready"
    )
    return parser


async def _look(scope: Scope) -> Picture:
    async with connect(scope) as client:
        picture, _ = await look(client, await namespace_of(scope))
        return picture


async def _watch(scope: Scope, environ: Mapping[str, str]) -> None:
    async with connect(scope) as client:
        await watch(client, await namespace_of(scope), lambda: Screen.of(sys.stdout, environ))


def _text(picture: Picture, output: str, environ: Mapping[str, str]) -> str:
    if output == "json":
        return json.dumps(picture.to_json(), indent=2) + "\n"
    lines = draw(picture, Screen.of(sys.stdout, environ), datetime.now(UTC))
    return "\n".join(lines) + "\n"
