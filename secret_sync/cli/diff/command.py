"""The command: a dry run of the controller that ends once every object has a result."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secret_sync import app, logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import namespace_of
from secret_sync.cli.diff.table import DiffRow, render
from secret_sync.cli.terminal import Screen, say
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.kube import key_of
from secret_sync.settings import UsageError, add_flags, build_settings, parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.settings import Settings

_DESCRIPTION: Final = """\
Shows for each ExternalSecret what the controller would do with its Secret: nothing, create it,
change keys of it, or why it would not touch it. Values are fetched and compared; keys are shown,
values never. Nothing is written: no Secret, no status, no Event.

All flags and environment variables of "secret-sync run" apply. Give those that the controller has,
above all --region; without the pod's identity, stores that use it cannot be used.

  secret-sync diff -A --region cn-hangzhou
  secret-sync diff -n shop database"""

_EPILOG: Final = """\
  same             the Secret is as it should be
  would create     there is no Secret yet
  would change     keys would be added, changed or removed
  would adopt      the Secret of another writer would be taken over
  would recreate   the type or an immutable Secret would change: it is deleted and created again
  would delete     a previous Secret would be deleted
  conflict         the Secret belongs to another writer and would not be touched
  not synced       a value cannot be fetched, or the ExternalSecret is wrong
  no answer        not known within --timeout

Exit codes: 0 nothing would change, 1 something would, or a failure, 2 usage error."""

_LOOK_EVERY: Final = 0.05
_PATIENCE: Final = "60s"
#: Flags of the controller that mean nothing here.
WITHOUT: Final = frozenset(
    {
        *("kubeconfig", "context", "dry-run", "metrics-bind-address", "log-level", "log-format"),
        *("refresh-bind-address", "refresh-token-dir"),
    }
)


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``diff``.
        environ: The environment.

    Raises:
        SecretSyncError: It cannot be found out; the message is one line.
    """
    parser, flags = _parser()
    arguments = parser.parse_args(list(argv))
    if arguments.name and arguments.everywhere:
        raise UsageError("NAME cannot be combined with -A")
    try:
        patience = parse_duration(arguments.timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {arguments.timeout!r} will not do: {error}") from None
    scope = scope_of(arguments, environ)
    given = {name: texts for name in flags if (texts := getattr(arguments, name)) is not None}
    settings = replace(
        build_settings(given, environ),
        kubeconfig=scope.kubeconfig,
        context=scope.context,
        dry_run=True,
        metrics_bind_address=None,
        refresh_bind_address=None,
    )
    logs.configure("error", "auto")
    namespace, found = asyncio.run(_find(settings, scope, arguments.name, patience))
    say("\n".join(render(found, namespace, Screen.of(sys.stdout, environ))) + "\n")
    waiting = sum(one.result is None for one in found)
    if waiting:
        raise TransientError(
            f"no answer about {waiting} of {len(found)} within {arguments.timeout}; see --timeout"
        )
    return 1 if any(one.result is not None and one.result.writes for one in found) else 0


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser, and the names of the controller's flags in it."""
    parser = Parser("diff", _DESCRIPTION, _EPILOG)
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one ExternalSecret")
    add_scope(parser)
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        default=_PATIENCE,
        help=f"how long to wait for answers (default: {_PATIENCE})",
    )
    return parser, add_flags(parser, without=WITHOUT)


async def _find(
    settings: Settings, scope: Scope, name: str, patience: float
) -> tuple[str, list[DiffRow]]:
    """Return the namespace that is looked at (``""`` for all), and what was found there."""
    namespace = await namespace_of(scope)

    def concerned(key: str) -> bool:
        home, _, own = key.partition("/")
        return namespace in ("", home) and name in ("", own)

    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        controller = await app.build(settings, stack)
        controller.concerned = concerned
        running = asyncio.create_task(controller.run(stop))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while not (  # noqa: ASYNC110 (results come one by one)
                        running.done() or _is_settled(controller, concerned)
                    ):
                        await asyncio.sleep(_LOOK_EVERY)
            found = _found(controller, concerned)
        finally:
            stop.set()
            await running
    if name and not found:
        raise DefiniteError(f"ExternalSecret {namespace}/{name} does not exist")
    return namespace, found


def _is_settled(controller: app.Controller, concerned: Callable[[str], bool]) -> bool:
    if not all(informer.synced for informer in controller.watched.running.values()):
        return False
    return all(one.result is not None for one in _found(controller, concerned))


def _found(controller: app.Controller, concerned: Callable[[str], bool]) -> list[DiffRow]:
    """Return what is known by now, sorted; what is being deleted is left out."""
    states = controller.states
    found = []
    for es in controller.watched.external_secrets.store.values():
        key = key_of(es)
        if concerned(key) and not es.deleting:
            state = states.find(key)
            found.append(DiffRow(es.namespace, es.name, state.dry_run if state else None))
    return sorted(found, key=lambda one: (one.namespace, one.name))
