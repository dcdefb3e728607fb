"""Starting: what is opened, checked and found out before anything is watched."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync import __version__, logs
from secret_sync.app import process
from secret_sync.app.cluster_external_secrets import CLUSTER_EXTERNAL_SECRETS_NEED
from secret_sync.app.controller import Controller, OpenConnections
from secret_sync.app.leading import make_election
from secret_sync.app.loop import EventLoop
from secret_sync.app.refreshing import serve_refreshes
from secret_sync.app.region import find_region
from secret_sync.app.stopping import unless
from secret_sync.app.together import together
from secret_sync.app.watched import NOT_IN_SYNC, Capabilities
from secret_sync.cloud.dedicated import DedicatedTrust
from secret_sync.cloud.endpoints import EndpointRules, resolve_kms
from secret_sync.cloud.metadata import MetadataService
from secret_sync.cloud.transport import Transport, build_ssl_context, call_timeout
from secret_sync.controller import kinds
from secret_sync.controller.crd_schema import REQUIRED_DEFINITIONS, Schemas, read_missing
from secret_sync.errors import SecretSyncError
from secret_sync.health import HealthServer
from secret_sync.kube import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    ClusterAccess,
    KubeClient,
    Preflight,
    RequiredPermission,
    read_token_user,
    retry_until_available,
)
from secret_sync.metrics import Metrics, RequestMetrics

if TYPE_CHECKING:
    from secret_sync.settings import Settings

_log = structlog.get_logger(__name__)

#: Seconds after which the first Secrets are written, where there are not many.
CHECK_PARSER_AFTER: Final = 2.0


def main(settings: Settings) -> int:
    """Run the controller until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SecretSyncError: It cannot start; the message is one line for a person.
    """
    logs.adopt_sdk_loggers()
    process.tune()
    stop = asyncio.Event()
    # Until the loop handles the signal: an exception during its start would leave it half done.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        return runner.run(run(settings, stop))


async def run(settings: Settings, stop: asyncio.Event) -> int:
    """As :func:`main`, inside a running loop; ends when ``stop`` is set, too."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _tell_of_flags(settings)
    _check_addresses(settings)
    async with AsyncExitStack() as stack:
        controller = await unless(stop, build(settings, stack))
        if controller is not None:
            checking = asyncio.create_task(_check_parser(controller, stop))
            try:
                await controller.run(stop)
            finally:
                checking.cancel()
                await asyncio.wait([checking])
            if not checking.cancelled():
                checking.result()
    _log.info("stopped")
    return 0


async def build(settings: Settings, stack: AsyncExitStack) -> Controller:
    """Open all resources; the stack closes them in reverse order, the health server last."""
    metrics = Metrics(__version__)
    metrics.watch_log(logs.dropped_lines)
    built: list[Controller] = []
    health = HealthServer(
        metrics.registry, unready=lambda: built[0].unready if built else NOT_IN_SYNC
    )
    stack.push_async_callback(health.stop)
    if settings.metrics_bind_address is not None:
        bind = settings.metrics_bind_address
        await health.start(bind.host, bind.port)
    async with together() as tasks:
        finding = tasks.create_task(_find_cluster(settings, stack))
        trusting = tasks.create_task(asyncio.to_thread(build_ssl_context, settings.ssl_cert_file))
    access, context = finding.result(), trusting.result()
    transport = Transport(
        ssl_context=context,
        https_proxy=settings.proxy.https_proxy,
        http_proxy=settings.proxy.http_proxy,
        no_proxy=settings.proxy.no_proxy,
        dedicated=DedicatedTrust(settings.ssl_cert_file),
        timeout=call_timeout(
            connect=settings.cloud_connect_timeout, total=settings.cloud_call_timeout
        ),
    )
    stack.push_async_callback(transport.close)
    # Without a proxy: what is behind one is another machine, with another role.
    direct = Transport(ssl_context=context)
    stack.push_async_callback(direct.close)
    metadata = MetadataService(direct, settings.metadata_endpoint)
    client = KubeClient(
        access, read_only=settings.dry_run, observer=RequestMetrics(metrics, kinds.PLURALS)
    )
    stack.push_async_callback(client.close)
    preflight = Preflight(client)
    # What may fail is not beside anything else: requests that are cut off leave errors in the log.
    without = await _check(preflight, settings)
    election = await make_election(settings, access, metrics, stack)
    async with together() as tasks:
        asking = tasks.create_task(_find_capabilities(preflight, settings, without))
        needed = not _placed(settings)
        placing = tasks.create_task(find_region(settings.region, metadata, needed=needed))
    capabilities, region = asking.result(), placing.result()
    schemas = await _read_schemas(client, capabilities)
    if election is not None:
        client.guard_writes(election)
    controller = Controller(
        settings,
        metrics,
        OpenConnections(client, transport, metadata),
        capabilities=capabilities,
        schemas=schemas,
        health=health,
        election=election,
    )
    stack.push_async_callback(controller.credentials.close)
    controller.set_region(region)
    await serve_refreshes(controller, stack)
    built.append(controller)
    if settings.dry_run:
        _log.info("dry run: nothing is written, neither Secrets nor statuses, Events or Leases")
    _log.info("starting", version=__version__, server=access.server, region=region)
    return controller


_NEEDS: Final = (
    RequiredPermission(kinds.EXTERNAL_SECRETS, ("get", "list", "watch")),
    RequiredPermission(kinds.EXTERNAL_SECRETS, ("patch",), "status"),
    RequiredPermission(kinds.SECRET_STORES, ("list", "watch")),
    RequiredPermission(kinds.SECRET_STORES, ("patch",), "status"),
    RequiredPermission(SECRETS, ("list", "watch", "get", "create", "patch", "delete")),
    RequiredPermission(SERVICE_ACCOUNTS, ("list", "watch")),
)
_STORES_NEED: Final = RequiredPermission(kinds.CLUSTER_SECRET_STORES, ("list", "watch"))
_NAMESPACES_NEED: Final = RequiredPermission(NAMESPACES, ("list", "watch"))
_CHILDREN_NEED: Final = (
    RequiredPermission(kinds.EXTERNAL_SECRETS, ("create", "delete")),
    RequiredPermission(NAMESPACES, ("get",)),
)
#: Only their metadata is watched, which is enough to know which changed.
_DEFINITIONS_NEEDS: Final = (
    RequiredPermission(CUSTOM_RESOURCE_DEFINITIONS, ("list", "watch")),
    *(
        RequiredPermission(CUSTOM_RESOURCE_DEFINITIONS, ("get",), name=name)
        for name in REQUIRED_DEFINITIONS
    ),
)


async def _find_cluster(settings: Settings, stack: AsyncExitStack) -> ClusterAccess:
    access = await ClusterAccess.find(settings.kubeconfig, settings.context)
    stack.push_async_callback(access.close)
    return access


async def _check(preflight: Preflight, settings: Settings) -> tuple[str, ...]:
    """Check the requirements, and return the watched namespaces in which nothing is permitted.

    Raises:
        SecretSyncError: Something indispensable is missing; one line says what.
    """
    without = await preflight.check(
        _NEEDS, namespaces=settings.watch_namespaces, hint=kinds.INSTALL_CRDS
    )
    for namespace in without:
        _log.warning(
            "namespace not served: it is deleted, or no rule of RBAC is for this controller there; "
            "it is served once that has changed",
            namespace=namespace,
        )
    return without


async def _find_capabilities(
    preflight: Preflight, settings: Settings, without: tuple[str, ...]
) -> Capabilities:
    """Find out which optional permissions exist, and who we are."""
    async with together() as tasks:
        stores = tasks.create_task(preflight.missing_permission(_STORES_NEED))
        namespaces = tasks.create_task(preflight.missing_permission(_NAMESPACES_NEED))
        definitions = tasks.create_task(preflight.missing_permission(*_DEFINITIONS_NEEDS))
        user = tasks.create_task(preflight.who_am_i())
        token_user = await read_token_user(settings.own.oidc_token_file)
    capabilities = Capabilities(
        without_rights=without,
        cluster_stores=_until_restart(stores.result()),
        namespaces=_until_restart(namespaces.result()),
        definitions=_until_restart(definitions.result()),
        user=user.result(),
        token_user=token_user,
    )
    if not capabilities.user and (
        settings.allow_role_arn or settings.controller_identity_namespaces
    ):
        _log.warning(
            "the API server does not report this controller's identity, so its ServiceAccount is "
            "unknown: all ServiceAccounts of stores are restricted like it"
        )
    if settings.process_cluster_external_secret and not capabilities.namespaces:
        await _report_cluster_external_secrets(preflight)
    if capabilities.cluster_stores:
        _log.warning("ClusterSecretStores are not watched", why=capabilities.cluster_stores)
    if capabilities.namespaces:
        _log.warning("labels of namespaces are not known", why=capabilities.namespaces)
    if capabilities.definitions:
        _log.warning("whether the CRDs are complete is not known", why=capabilities.definitions)
    return capabilities


async def _report_cluster_external_secrets(preflight: Preflight) -> None:
    """Log which rights ClusterExternalSecrets lack, if the kind is installed."""
    lacking = await preflight.missing_permission(*CLUSTER_EXTERNAL_SECRETS_NEED)
    if "does not know" in lacking:
        return
    if lacking:
        _log.warning("ClusterExternalSecrets are not processed yet", why=lacking)
    lacking = await preflight.missing_permission(*_CHILDREN_NEED)
    if lacking:
        # As in deploy/base, where most have no such object.
        component = "cluster-external-secrets"
        _log.info("ClusterExternalSecrets need a component", why=lacking, component=component)


async def _read_schemas(client: KubeClient, capabilities: Capabilities) -> Schemas:
    """Read which fields the CRDs lack, before the first reconcile."""
    schemas = Schemas()
    if not capabilities.definitions:
        async with together() as tasks:
            reading = {
                name: tasks.create_task(retry_until_available(partial(read_missing, client, name)))
                for name in REQUIRED_DEFINITIONS
            }
        for name, found in reading.items():
            schemas.put(name, found.result() or ())
    return schemas


def _until_restart(why: str) -> str:
    return f"{why}; once that is mended, restart the controller" if why else ""


def _placed(settings: Settings) -> bool:
    """Return whether flags alone determine every default endpoint."""
    return bool(settings.kms_endpoint and settings.sts_endpoint)


def _tell_of_flags(settings: Settings) -> None:
    if settings.no_effect:
        _log.info("flags accepted for compatibility, without effect", flags=settings.no_effect)


async def _check_parser(controller: Controller, stop: asyncio.Event) -> None:
    """Make sure that YAML can be parsed, once the start is over: it imports both parsers.

    Until then the controller works, but is not ready, so that a rollout stops if it cannot.
    """
    controller.unchecked = "the YAML parser is not checked yet"
    await asyncio.sleep(CHECK_PARSER_AFTER)
    try:
        await asyncio.to_thread(_check_parser_now)
    except SecretSyncError:
        stop.set()
        raise
    controller.unchecked = ""


def _check_parser_now() -> None:
    from secret_sync.parse.yaml_document import check_yaml_parser  # noqa: PLC0415 (see above)

    try:
        check_yaml_parser()
    except RuntimeError as error:
        raise SecretSyncError(str(error)) from error


def _check_addresses(settings: Settings) -> None:
    """Detect at start what would fail every call."""
    EndpointRules(settings.allow_kms_endpoint)
    if settings.kms_endpoint or settings.region:
        resolve_kms("any", region=settings.region, endpoint=settings.kms_endpoint)
