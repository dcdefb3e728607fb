"""The command: its flags, prompt, output and exit code."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser, add_scope, scope_of
from secret_sync.cli.cluster import connect, namespace_of
from secret_sync.cli.release import steps
from secret_sync.cli.terminal import say
from secret_sync.controller.sync import count
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.arguments import Scope
    from secret_sync.cli.release.ownership import ReleasableSecret
    from secret_sync.cli.release.steps import Found, ReleaseFailure

_DESCRIPTION: Final = """\
Keeps every Secret that secret-sync manages when its ExternalSecret is deleted. Run this before an
uninstall: otherwise deleting an ExternalSecret, or the CRDs and with them all ExternalSecrets,
makes the garbage collector of Kubernetes delete the Secrets.

  1. Stop the controller, which would adopt the Secrets again at once:
       kubectl -n secret-sync-system scale deployment secret-sync --replicas=0
  2. secret-sync release --keep-secrets --all-namespaces
  3. Delete the ExternalSecrets or the CRDs. secret-sync uses no finalizers, so nothing hangs.

From each managed Secret it removes the ownerReference to the ExternalSecret, the annotation
secret-sync.alibabacloud.com/owner and the label app.kubernetes.io/managed-by, if secret-sync has
set it. Data, type and everything else are unchanged; values are neither read nor written. A managed
Secret has that annotation, set by the field manager secret-sync. Keys written with creationPolicy
Merge are kept in any case and are not touched.

Before that, ExternalSecrets that a ClusterExternalSecret created lose their ownerReference to it,
so deleting a ClusterExternalSecret keeps them.

Released Secrets have no owner: their keys have no field manager, so kubectl apply (also with
--server-side), ack-secret-manager or any other tool can take them over without a conflict.
A new installation of secret-sync does not take them over by itself: an ExternalSecret of that name
gets the condition SecretConflict, and the Secret is unchanged, until the ExternalSecret has the
annotation secret-sync.alibabacloud.com/adopt: "true".

At the end it waits a few seconds to check that the Secrets stay released. It can be run again at
any time; released Secrets are skipped. It needs permission to list, get and patch Secrets, and
the same of ExternalSecrets."""

_EPILOG: Final = """\
Exit codes: 0 all are released, 1 some are not or were adopted again, 2 usage error."""

_CONFIRMATION_MISSING: Final = (
    "confirm with --keep-secrets: secret-sync stops managing every Secret, none is deleted "
    "(see secret-sync release --help)"
)
_RECLAIMED: Final = (
    "a controller is still running and adopted {count} of {total} Secrets again ({some}). Stop it "
    "(kubectl -n secret-sync-system scale deployment secret-sync --replicas=0), then run this again"
)
#: Names in one message.
_MAX_NAMES: Final = 3


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
        raise UsageError(_CONFIRMATION_MISSING)
    ask = not (arguments.yes or arguments.dry_run)
    if ask and not sys.stdin.isatty():
        raise UsageError("cannot prompt: stdin is not a terminal; use --yes")
    logs.configure("error", "auto")
    scope = scope_of(arguments, environ)
    # Two runs of the loop, since a prompt blocks.
    namespace, found = asyncio.run(_find(scope))
    orphan_risks = _report_orphan_risks(found)
    if not (found.managed or found.children):
        place = f"in namespace {namespace}" if namespace else "in any namespace"
        say(f"secret-sync manages no Secret {place}; nothing to release\n")
        return 1 if orphan_risks else 0
    if ask and not _confirmed(found.managed, namespace):
        sys.stderr.write("nothing was changed\n")
        return 1
    done = asyncio.run(_release(scope, namespace, found, dry_run=arguments.dry_run))
    return 0 if done and not orphan_risks else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser("release", _DESCRIPTION, _EPILOG)
    parser.add_argument("--keep-secrets", action="store_true", help="required as a confirmation")
    add_scope(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be released; the API server validates it and changes nothing",
    )
    parser.add_argument("--yes", action="store_true", help="do not prompt")
    return parser


async def _find(scope: Scope) -> tuple[str, Found]:
    async with connect(scope) as client:
        namespace = await namespace_of(scope)
        return namespace, await steps.find(client, namespace)


async def _release(scope: Scope, namespace: str, found: Found, *, dry_run: bool) -> bool:
    """Return whether all of them are released, and stay released."""
    released: list[ReleasableSecret] = []
    word = "would release" if dry_run else "released"

    def on_released(one: ReleasableSecret) -> None:
        released.append(one)
        say(f"{word} {one.title}\n")

    async with connect(scope) as client:
        # First, so that nothing is deleted with a ClusterExternalSecret meanwhile.
        await steps.free_children(client, found.children, dry_run=dry_run)
        if found.children:
            number = count(len(found.children), "ExternalSecret")
            say(f"{word} {number} from ClusterExternalSecrets\n")
        failures = await steps.release(
            client, found.managed, dry_run=dry_run, on_released=on_released
        )
        _report_failures(failures)
        say(_summary(len(released), len(failures), dry_run=dry_run))
        if dry_run or not released:
            return not failures
        back = await steps.find_reclaimed(client, namespace, {one.uid for one in released})
    if back:
        some = ", ".join(back[:_MAX_NAMES]) + (", ..." if len(back) > _MAX_NAMES else "")
        message = _RECLAIMED.format(count=len(back), total=len(released), some=some)
        sys.stderr.write(f"secret-sync release: {message}\n")
    return not back and not failures


def _confirmed(managed: Sequence[ReleasableSecret], namespace: str) -> bool:
    place = f"in namespace {namespace}" if namespace else "in all namespaces"
    say(
        f"Release {count(len(managed), 'Secret')} {place} from secret-sync? None is deleted. [y/N] "
    )
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _report_orphan_risks(found: Found) -> bool:
    for risk in found.orphan_risks:
        sys.stderr.write(
            f"secret-sync release: {risk.title} is skipped: secret-sync does not manage it, but it "
            f"has an ownerReference to ExternalSecret {risk.owner} and will be deleted with it; "
            "to keep it, remove that ownerReference yourself\n"
        )
    return bool(found.orphan_risks)


def _report_failures(failures: Sequence[ReleaseFailure]) -> None:
    for failure in failures:
        sys.stderr.write(f"secret-sync release: {failure.title} is not released: {failure.why}\n")


def _summary(released: int, failed: int, *, dry_run: bool) -> str:
    what = "would be released" if dry_run else "released"
    return f"{count(released, 'Secret')} {what}" + (f", {failed} failed\n" if failed else "\n")
