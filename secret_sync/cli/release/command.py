"""The command itself: what is asked, what is told, and the exit code."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import connect, namespace_of
from secret_sync.cli.release import steps
from secret_sync.cli.terminal import say
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.cli.release.marks import Held
    from secret_sync.cli.release.steps import Failure, Found

_DESCRIPTION: Final = """\
Lets every Secret that secret-sync made outlive its ExternalSecret. Do this before an uninstall:
deleting an ExternalSecret, or the CRDs and with them all ExternalSecrets, otherwise has the
garbage collector of Kubernetes delete their Secrets.

  1. Stop the controller, which would take the Secrets back at once:
       kubectl -n secret-sync-system scale deployment secret-sync --replicas=0
  2. secret-sync release --keep-secrets --all-namespaces
  3. Delete what is to go. There are no finalizers of secret-sync, so nothing hangs.

From each Secret that is ours it takes the ownerReference to the ExternalSecret and the annotation
secret-sync.alibabacloud.com/owner. Data, type, labels and all else stay as they are; no value is
read, let alone written. Ours is a Secret with that annotation, set by the field manager
secret-sync. Keys written with creationPolicy Merge stay in any case and are not touched.

Afterwards the Secrets belong to nobody: their keys have no field manager, so that kubectl apply
(--server-side too), ack-secret-manager or any other tool can take them over without a conflict.
A secret-sync that is installed again does not take them over by itself, for they are not its own:
an ExternalSecret of that name gets the condition SecretConflict, and its Secret stays as it is,
until the ExternalSecret says so: annotation secret-sync.alibabacloud.com/adopt: "true".

At the end it waits a few seconds to see that the Secrets stay released. It may be run again at any
time; what is released already is left alone. It needs the rights to list, get and patch Secrets."""

_EPILOG: Final = """\
Exit codes: 0 all are released, 1 some are not or were taken back, 2 wrong usage."""

_INTENT: Final = (
    "say --keep-secrets if you mean it: every Secret is taken out of the hands of secret-sync, "
    "none is deleted (see secret-sync release --help)"
)
_TAKEN_BACK: Final = (
    "a controller still runs and took its Secrets back, {count} of {total} ({some}). Stop it "
    "(kubectl -n secret-sync-system scale deployment secret-sync --replicas=0), then run this again"
)
#: So many names are told of in one sentence.
_SOME: Final = 3


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``release``.
        environ: The environment.

    Raises:
        SecretSyncError: It cannot be done; the message is one line.
    """
    arguments = _parser().parse_args(list(argv))
    if not arguments.keep_secrets:
        raise UsageError(_INTENT)
    ask = not (arguments.yes or arguments.dry_run)
    if ask and not sys.stdin.isatty():
        raise UsageError("nobody can be asked, standard input is not a terminal: add --yes")
    logs.configure("error", "auto")
    scope = scope_of(arguments, environ)
    # Two runs of the loop, for a question blocks.
    namespace, found = asyncio.run(_find(scope))
    strays = _tell_strays(found)
    if not found.held:
        place = f"in namespace {namespace}" if namespace else "in any namespace"
        say(f"no Secret {place} is secret-sync's; nothing to release\n")
        return 1 if strays else 0
    if ask and not _agreed(found.held, namespace):
        sys.stderr.write("nothing was changed\n")
        return 1
    done = asyncio.run(_release(scope, namespace, found.held, rehearse=arguments.dry_run))
    return 0 if done and not strays else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser("release", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--keep-secrets", action="store_true", help="required; states what is meant"
    )
    add_scope(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="tell what would be released; the API server checks it all and keeps nothing",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


async def _find(scope: Scope) -> tuple[str, Found]:
    async with connect(scope) as client:
        namespace = await namespace_of(scope)
        return namespace, await steps.find(client, namespace)


async def _release(scope: Scope, namespace: str, held: Sequence[Held], *, rehearse: bool) -> bool:
    """Whether all of them are released, and stay so."""
    released: list[Held] = []
    word = "would release" if rehearse else "released"

    def tell(one: Held) -> None:
        released.append(one)
        say(f"{word} {one.title}\n")

    async with connect(scope) as client:
        failures = await steps.release(client, held, rehearse=rehearse, tell=tell)
        _tell_failures(failures)
        say(_summary(len(released), len(failures), rehearse=rehearse))
        if rehearse or not released:
            return not failures
        back = await steps.taken_back(client, namespace, {one.uid for one in released})
    if back:
        some = ", ".join(back[:_SOME]) + (", ..." if len(back) > _SOME else "")
        told = _TAKEN_BACK.format(count=len(back), total=len(released), some=some)
        sys.stderr.write(f"secret-sync release: {told}\n")
    return not back and not failures


def _agreed(held: Sequence[Held], namespace: str) -> bool:
    place = f"in namespace {namespace}" if namespace else "in all namespaces"
    say(f"Release {_secrets(len(held))} {place} from secret-sync? None is deleted. [y/N] ")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _tell_strays(found: Found) -> bool:
    for stray in found.strays:
        sys.stderr.write(
            f"secret-sync release: {stray.title} is left alone: it has no mark of secret-sync, yet "
            f"an ownerReference to ExternalSecret {stray.owner}, with which it will be deleted; "
            "if it is to stay, remove that ownerReference by hand\n"
        )
    return bool(found.strays)


def _tell_failures(failures: Sequence[Failure]) -> None:
    for failure in failures:
        sys.stderr.write(f"secret-sync release: {failure.title} is not released: {failure.why}\n")


def _summary(released: int, failed: int, *, rehearse: bool) -> str:
    what = "would be released" if rehearse else "released"
    return f"{_secrets(released)} {what}" + (f", {failed} failed\n" if failed else "\n")


def _secrets(number: int) -> str:
    return f"{number} Secret" if number == 1 else f"{number} Secrets"
