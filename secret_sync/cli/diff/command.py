"""The command: a dry run of the controller that ends once every object has a result."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secret_sync import app, logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import namespace_of
from secret_sync.cli.diff.table import DiffRow, child_rows, render, render_children
from secret_sync.cli.terminal import Colour, Screen, plain, say
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.kube import key_of
from secret_sync.settings import UsageError, add_flags, build_settings, parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.cli.diff.table import ChildRow
    from secret_sync.settings import Settings

_DESCRIPTION: Final = """\
Shows for each ExternalSecret what the controller would do with its Secret: nothing, create it,
change keys of it, or why it would not touch it. Values are fetched and compared; keys are shown,
values never. ExternalSecrets that a ClusterExternalSecret would create, change or delete follow.
Nothing is written: no Secret, no ExternalSecret, no status, no Event.

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
    found = asyncio.run(_find(settings, scope, arguments.name, patience))
    screen = Screen.of(sys.stdout, environ)
    lines = render(found.rows, found.namespace, screen)
    lines += render_children(found.children, found.namespace, screen)
    if found.note:
        lines += ["", screen.paint(plain(found.note), Colour.FAINT)]
    say("\n".join(lines) + "\n")
    waiting, total = found.waiting
    if waiting:
        raise TransientError(
            f"no answer about {waiting} of {total} within {arguments.timeout}; see --timeout"
        )
    return 1 if found.writes else 0


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


@dataclass(frozen=True, slots=True)
class _Found:
    """What a dry run has found.

    Attributes:
        namespace: What was looked at; ``""`` for all.
        rows: The ExternalSecrets that there are.
        children: Those that ClusterExternalSecrets would not leave as they are.
        waiting: How many answers are missing, and of how many.
        note: What is not shown, and why; or ``""``.
    """

    namespace: str
    rows: list[DiffRow]
    children: list[ChildRow]
    waiting: tuple[int, int]
    note: str

    @property
    def writes(self) -> bool:
        """Return whether anything would be written."""
        return any(row.writes for row in self.rows) or any(one.writes for one in self.children)


async def _find(settings: Settings, scope: Scope, name: str, patience: float) -> _Found:
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
            kind = controller.cluster_external_secrets
            rows, plans, late = _rows(controller, concerned), kind.plans(), not kind.settled
        finally:
            stop.set()
            await running
    children = child_rows(plans, namespace, name)
    if name and not rows and not children:
        raise DefiniteError(f"ExternalSecret {namespace}/{name} does not exist")
    answers = [*(one.result for one in rows), *plans.values()]
    why = "no answer about them" if late else kind.why_not
    return _Found(
        namespace,
        rows,
        children,
        (sum(one is None for one in answers) + late, len(answers) + late),
        f"ClusterExternalSecrets are not shown: {why}" if why else "",
    )


def _is_settled(controller: app.Controller, concerned: Callable[[str], bool]) -> bool:
    kind = controller.cluster_external_secrets
    if not all(informer.synced for informer in controller.watched.running.values()):
        return False
    if not kind.settled or None in kind.plans().values():
        return False
    return all(one.result is not None for one in _rows(controller, concerned))


def _rows(controller: app.Controller, concerned: Callable[[str], bool]) -> list[DiffRow]:
    """Return what is known by now, sorted; what is being deleted is left out."""
    states = controller.states
    found = []
    for es in controller.watched.external_secrets.store.values():
        key = key_of(es)
        if concerned(key) and not es.deleting:
            state = states.find(key)
            result = state.dry_run if state else None
            found.append(DiffRow(es.namespace, es.name, result, es.legacy))
    return sorted(found, key=lambda one: (one.namespace, one.name))
