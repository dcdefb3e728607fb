"""``secret-sync local demo``: a Secret kept in sync with KMS, from start to end."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from secret_sync.local import demo_setup, playground
from secret_sync.local.cloud import AdminError, CloudAdmin
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.demo_cluster import ClusterStep
from secret_sync.local.demo_documents import DocumentsStep
from secret_sync.local.demo_restart import RestartStep
from secret_sync.local.demo_rrsa import RrsaStep
from secret_sync.local.demo_screen import DemoScreen, seconds
from secret_sync.local.demo_watch import SecretWatch
from secret_sync.local.errors import LocalError
from secret_sync.local.state import RunFolder

if TYPE_CHECKING:
    import argparse

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.demo_setup import DemoController, DemoTarget
    from secret_sync.local.demo_watch import Event
    from secret_sync.local.signals import Signals

_SECRET: Final = "database"  # noqa: S105 - the name of an object
_ROTATED: Final = "shop-db-password"
_POLLING_SECONDS: Final = 2
# Limits, not expectations: a laptop may be busy.
_SYNC_WITHIN: Final = 20.0
_REPAIR_WITHIN: Final = 10.0
# The garbage collector looks for new kinds every 30 s.
_COLLECT_WITHIN: Final = 90.0
_STEPS_WITHIN: Final = 300.0


async def demo(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Show everything on a cluster of its own or on an existing one; return the exit code."""
    screen = DemoScreen(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    begun = asyncio.get_running_loop().time()
    with tempfile.TemporaryDirectory(prefix="secret-sync-demo-") as directory:
        folder = RunFolder(Path(directory))
        try:
            async with AsyncExitStack() as stack:
                await _show(arguments.kubeconfig, folder, stack, screen)
                screen.step("Cleaning up")
        except (LocalError, ControlPlaneError, AdminError) as error:
            screen.bad(str(error))
            return 1
        except aiohttp.ClientError as error:
            screen.bad(f"the local cloud does not answer: {type(error).__name__}")
            return 1
    took = asyncio.get_running_loop().time() - begun
    screen.good(f"every process of the demo has ended, its files are gone; it took {seconds(took)}")
    screen.note("To play yourself: secret-sync local up")
    return 0


async def _show(
    kubeconfig: str, folder: RunFolder, stack: AsyncExitStack, screen: DemoScreen
) -> None:
    screen.step("A Kubernetes API server and a local Alibaba Cloud")
    if kubeconfig:
        target = await demo_setup.existing_cluster(kubeconfig, screen)
    else:
        target = await demo_setup.own_cluster(folder, stack, screen)
    cloud = await playground.start_cloud(folder, stack)
    screen.good(f"a KMS answers as kms-vpc.{playground.REGION}.aliyuncs.com, through a proxy")
    admin = await stack.enter_async_context(CloudAdmin(cloud.admin_url))
    show = Demo(target, cloud, admin, folder, screen)
    try:
        async with asyncio.timeout(_STEPS_WITHIN):
            await show.prepare(stack)
            await show.steps()
    except TimeoutError:
        raise LocalError(f"the demo did not end within {_STEPS_WITHIN:.0f} s") from None


class Demo:
    """The steps, in order.

    Args:
        target: The cluster.
        cloud: The cloud.
        admin: Its admin API.
        folder: For files.
        screen: Where it is shown.
    """

    def __init__(
        self,
        target: DemoTarget,
        cloud: CloudInfo,
        admin: CloudAdmin,
        folder: RunFolder,
        screen: DemoScreen,
    ) -> None:
        self._target = target
        self._cloud = cloud
        self._admin = admin
        self._folder = folder
        self._screen = screen
        self._watch = SecretWatch()
        self._refresh_port = demo_setup.free_port()
        self._token = secrets.token_hex(32)
        # An unused name, since the cluster has other users.
        self._namespace = "shop" if target.plane else f"secret-sync-demo-{secrets.token_hex(3)}"

    async def prepare(self, stack: AsyncExitStack) -> None:
        """Set up the CRDs, the namespace and the controller; the stack removes all but the CRDs."""
        self._screen.step("The CRDs and a namespace")
        await self._apply_crds()
        if self._target.plane is None:
            stack.push_async_exit(self._delete_namespace)
        await self._kubectl("create", "namespace", self._namespace)
        self._screen.step("The controller")
        tokens = self._folder.path / "refresh"
        await asyncio.to_thread(_write_token, tokens, self._token)
        arguments = (
            f"--refresh-bind-address=127.0.0.1:{self._refresh_port}",
            f"--refresh-token-dir={tokens}",
            f"--region={playground.REGION}",
            f"--watch-namespaces={self._namespace}",
            f"--polling-interval={_POLLING_SECONDS}s",
            # What is made for restarts is in there, too, and goes with it.
            f"--leader-elect-namespace={self._namespace}",
        )
        environment = demo_setup.controller_environment(self._target.kubeconfig, self._cloud)
        log = self._folder.path / "controller.log"
        controller = demo_setup.DemoController(arguments, environment, log)
        stack.push_async_exit(_Ending(controller, self._screen))
        self._screen.command(*controller.command)
        await controller.ready()
        self._screen.good("it is connected and watches")
        stack.push_async_callback(self._watch.stop)
        await self._watch.start(self._target.kubectl, self._namespace, _SECRET)

    async def steps(self) -> None:
        """Show sync, rotation, a push, repair, deletion; a restart, documents, a label, RRSA."""
        first = await self._sync()
        second = await self._rotate(first)
        third = await self._push(second)
        await self._repair(third)
        await self._delete()
        for step in (RestartStep, DocumentsStep, ClusterStep, RrsaStep):
            await step(
                self._target.kubectl, self._admin, self._namespace, self._screen, self._apply
            ).show()

    async def _sync(self) -> Event:
        screen = self._screen
        screen.step("Two secrets in KMS, and an AccessKey to read them")
        for name, value in (("shop-db-user", "shop"), (_ROTATED, secrets.token_urlsafe(12))):
            screen.command("secret-sync", "local", "secret", "put", name, "...")
            screen.output(f"{name}: version {await self._admin.put_secret(name, value)}")
        command, output = await playground.create_access_key(
            self._target.kubectl, self._cloud, self._namespace, self._folder.path
        )
        screen.command("kubectl", *command, "--from-env-file=access-key.env")
        screen.output(output)
        screen.step("A SecretStore says how to authenticate, an ExternalSecret what to fetch")
        await self._apply("secret-store.yaml")
        begun = _now()
        await self._apply("external-secret.yaml")
        synced = await self._watch.until(
            lambda event: event.kind == "ADDED", within=_SYNC_WITHIN, what="the Secret is made"
        )
        screen.good(f"the Secret is there {seconds(synced.at - begun)} after kubectl began")
        screen.secret(synced.data)
        await self._show_condition()
        return synced

    async def _show_condition(self) -> None:
        ready = ("wait", "--for=condition=Ready", f"aes/{_SECRET}", "-n", self._namespace)
        await self._target.kubectl.run(*ready, f"--timeout={_SYNC_WITHIN:.0f}s")
        await self._kubectl("get", "aes", _SECRET, "-n", self._namespace)
        path = '{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}'
        output = f"--output=jsonpath={path}"
        await self._kubectl("get", "aes", _SECRET, "-n", self._namespace, output)

    async def _rotate(self, before: Event) -> Event:
        screen = self._screen
        screen.step("The KMS secret is rotated: the Secret follows")
        screen.command("secret-sync", "local", "secret", "rotate", _ROTATED)
        begun = _now()
        screen.output(f"{_ROTATED}: version {await self._admin.rotate(_ROTATED)}")
        event = await self._watch.until(
            lambda event: event.data.get("password") != before.data["password"],
            within=_SYNC_WITHIN,
            what="the Secret follows",
        )
        took = seconds(event.at - begun)
        screen.good(f"the Secret followed after {took} (KMS is polled every {_POLLING_SECONDS} s)")
        screen.secret(event.data, before.data)
        return event

    async def _push(self, before: Event) -> Event:
        screen = self._screen
        screen.step("An event of EventBridge about a rotation: the Secret follows at once")
        url = f"http://127.0.0.1:{self._refresh_port}/refresh"
        screen.command("secret-sync", "local", "events", url, "--token-file=refresh/token")
        await self._admin.set_event_target(url, token=self._token)
        screen.command("secret-sync", "local", "secret", "rotate", _ROTATED)
        begun = _now()
        screen.output(f"{_ROTATED}: version {await self._admin.rotate(_ROTATED)}")
        event = await self._watch.until(
            lambda event: event.data.get("password") != before.data["password"],
            within=_SYNC_WITHIN,
            what="the Secret follows",
        )
        await self._admin.set_event_target()
        if not (await self._admin.events())["posted"]:
            raise LocalError("the controller did not accept the event")
        screen.good(f"pushed: the Secret followed {seconds(event.at - begun)} after the rotation")
        return event

    async def _repair(self, good: Event) -> None:
        screen = self._screen
        screen.step("Someone edits the Secret by hand: it is repaired")
        patch = '{"stringData":{"password":"edited by hand","extra":"key"}}'
        await self._kubectl(
            *("patch", "secret", _SECRET, "-n", self._namespace, "--type=merge", "-p", patch)
        )
        edited = await self._watch.until(
            lambda event: event.data != good.data, within=_REPAIR_WITHIN, what="the edit is seen"
        )
        repaired = await self._watch.until(
            lambda event: event.data == good.data, within=_REPAIR_WITHIN, what="it is repaired"
        )
        screen.good(f"repaired {seconds(repaired.at - edited.at)} after the edit, without KMS")
        screen.secret(repaired.data, good.data)

    async def _delete(self) -> None:
        screen = self._screen
        screen.step("The ExternalSecret is deleted: the Secret goes with it")
        begun = _now()
        await self._kubectl("delete", "aes", _SECRET, "-n", self._namespace)
        gone = await self._watch.until(
            lambda event: event.kind == "DELETED", within=_COLLECT_WITHIN, what="the Secret goes"
        )
        took = seconds(gone.at - begun)
        screen.good(f"the garbage collector took the Secret {took} after kubectl began")
        await self._kubectl("get", "aes,secrets", "-n", self._namespace)

    async def _apply_crds(self) -> None:
        kubectl = self._target.kubectl
        if self._target.plane is None:
            missing = await demo_setup.missing_crds(kubectl)
            if not missing:
                self._screen.note("The cluster has the CRDs; they are left as they are.")
                return
            self._screen.warn("The cluster lacks the CRDs: they are applied now, and stay, since")
            self._screen.warn("deleting them would delete every ExternalSecret.")
        crds = playground.find_crds()
        self._screen.command("kubectl", "apply", "--server-side", "-k", _short(crds))
        self._screen.output(await playground.apply_crds(kubectl))
        if self._target.plane is not None:
            await self._target.plane.learn_kinds()

    async def _apply(self, name: str) -> None:
        file = playground.EXAMPLES / name
        self._screen.command("kubectl", "apply", "-n", self._namespace, "-f", _short(file))
        output = await self._target.kubectl.run("apply", "-n", self._namespace, "-f", str(file))
        self._screen.output(output)

    async def _kubectl(self, *arguments: str) -> None:
        self._screen.command("kubectl", *arguments)
        self._screen.output(await self._target.kubectl.run(*arguments))

    async def _delete_namespace(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self._kubectl(
                *("delete", "namespace", self._namespace, "--ignore-not-found", "--timeout=50s")
            )
        except LocalError as error:
            # An earlier error is more important.
            if kind is None:
                raise
            self._screen.bad(f"{error}; the namespace {self._namespace} may be left")


class _Ending:
    """Stops the controller, and shows its log if something went wrong."""

    def __init__(self, controller: DemoController, screen: DemoScreen) -> None:
        self._controller = controller
        self._screen = screen

    async def __aenter__(self) -> None:
        """Do nothing: the controller is running already."""

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._controller.stop()
        if kind is not None and issubclass(kind, Exception):
            self._screen.note("the end of the controller's log:")
            self._screen.output(await asyncio.to_thread(self._controller.log_tail))


def _write_token(folder: Path, token: str) -> None:
    folder.mkdir(mode=0o700)
    (folder / "token").write_text(token)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _short(path: Path) -> str:
    """Return the path as a user in this folder would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
