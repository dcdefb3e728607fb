"""``secret-sync local up``."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local import playground, rrsa, state
from secret_sync.local.cloud import CloudAdmin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from secret_sync.local.playground import Playground
    from secret_sync.local.signals import Signals


async def up(arguments: argparse.Namespace, signals: Signals) -> int:
    """Run a playground until a signal; its use goes to stdout, its progress to stderr.

    What is printed on stdout can be sourced by a shell, and is also left in a file for that.

    Raises:
        LocalError: It cannot start.
        ControlPlaneError: The control plane cannot.
    """
    # Absolute: it is printed for other terminals. The exit of `claim` removes what the exit of
    # the stack has let go of.
    directory = arguments.directory.absolute()
    with state.claim(directory) as folder:
        _say("starting a control plane and a local Alibaba Cloud")
        async with AsyncExitStack() as stack:
            running = await playground.start(folder, stack, _say)
            await playground.create_access_key(
                running.kubectl, running.cloud, "default", folder.path
            )
            async with CloudAdmin(running.cloud.admin_url) as admin:
                await rrsa.trust_cluster(running.kubectl, admin, "default")
            script = folder.path / "environment.sh"
            chosen = directory if directory != state.default_directory(os.environ) else None
            text = usage(environment(running), missing_from_path(running), script, chosen)
            await asyncio.to_thread(script.write_text, text)
            folder.publish()
            sys.stdout.write(text)
            sys.stdout.flush()
            await signals.wait()
            _say("stopping")
    return 0


def environment(running: Playground) -> dict[str, str]:
    """Return what to export so that kubectl and ``secret-sync run`` find the playground."""
    return {
        "KUBECONFIG": str(running.plane.kubeconfig),
        **running.cloud.environment,
        "ALIBABA_CLOUD_REGION_ID": playground.REGION,
    }


def missing_from_path(running: Playground) -> list[str]:
    """Return the folders to be put on ``PATH`` for kubectl and this command to be found there."""
    kubectl, ours = running.kubectl.program, Path(sys.executable).with_name("secret-sync")
    folders = [] if shutil.which(kubectl.name) == str(kubectl) else [str(kubectl.parent)]
    return folders if shutil.which(ours.name) else [*folders, str(ours.parent)]


def usage(
    variables: Mapping[str, str], folders: Sequence[str], script: Path, directory: Path | None
) -> str:
    """Return lines for a shell: exports, and comments that say what to do with them.

    Args:
        variables: What to export.
        folders: What to put on ``PATH``.
        script: Where these lines are left.
        directory: Of the playground, if it is not the default one.
    """
    exports = "".join(f"export {name}={shlex.quote(v)}\n" for name, v in variables.items())
    if folders:
        exports += f'export PATH={shlex.quote(os.pathsep.join(folders))}:"$PATH"\n'
    where = f" --directory {shlex.quote(str(directory))}" if directory else ""
    examples = shlex.quote(str(playground.EXAMPLES))
    return f"""\
# The playground is up. Paste this into another terminal, or: . {shlex.quote(str(script))}
{exports}\
# In that terminal, everything that uses a proxy reaches only the local Alibaba Cloud.
# Then, for example:
#   secret-sync local secret put shop-db-user shop{where}
#   secret-sync local secret put shop-db-password "$(head -c 12 /dev/urandom | base64)"{where}
#   kubectl apply -f {examples}
#   secret-sync run --polling-interval=5s &
#   kubectl get aes,secrets
#   secret-sync local secret rotate shop-db-password{where}
#   secret-sync local calls{where}
# Without an AccessKey, as a ServiceAccount of the namespace default:
#   kubectl apply -f {examples}/rrsa
# Secret {playground.ACCESS_KEY_SECRET} in namespace default has the AccessKey; elsewhere:
#   secret-sync local access-key{where} | kubectl apply -n NAMESPACE -f -
# Ctrl-C here stops everything and removes its files.
"""


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
