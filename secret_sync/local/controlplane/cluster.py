"""The three processes of a control plane: start, stop, break. Blocking."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secret_sync.local.controlplane import flags, pki
from secret_sync.local.controlplane.endpoint import Endpoint
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.controlplane.ports import ReservedPort
from secret_sync.local.controlplane.process import Process

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from secret_sync.local.controlplane.binaries import Binaries

# A healthy start takes about 3 s, but two cores may be running a test suite besides.
_READY_SECONDS = 60.0
# An API server first ends the requests under way; it is not worth a person's waiting.
_STOP_SECONDS = 10.0
# Nothing of the user's: etcd reads ETCD_*, Go reads GODEBUG and the proxy variables.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


class Cluster:
    """etcd, kube-apiserver and kube-controller-manager in one directory.

    Every method blocks, and belongs in the one thread that lives as long as the processes
    should (see ``Process``).

    Attributes:
        layout: Where its files and ports are.
        admin: The API server, as a user with all permissions.

    Raises:
        ControlPlaneError: The directory has been used before.
    """

    def __init__(self, directory: Path, binaries: Binaries, *, audit_log: bool) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            keys = pki.create(directory)
        except FileExistsError as error:
            raise ControlPlaneError(f"{directory} belongs to another run") from error
        self._ports = [ReservedPort() for _ in range(3)]
        self.layout = flags.Layout(
            directory, binaries, keys, *(port.number for port in self._ports)
        )
        self._audit_log = audit_log
        token = secrets.token_urlsafe(32)
        self.admin = Endpoint(self.layout.server, token, self.layout.pki.ca)
        self._etcd_endpoint = Endpoint(self.layout.etcd_endpoint)
        pki.write_secret(self.layout.tokens, flags.token_file(token))
        pki.write_secret(self.layout.kubeconfig, flags.kubeconfig(self.layout, token))
        self.layout.audit_policy.write_text(json.dumps(flags.AUDIT_POLICY))
        self._etcd: Process | None = None
        self._api_server: Process | None = None
        self._controller_manager: Process | None = None

    def start(self, cancelled: threading.Event) -> None:
        """Start all three, each as soon as the one it needs is ready.

        Raises:
            ControlPlaneError: One did not come up in time.
            CancelledStartError: ``cancelled`` was set.
        """
        self._start_etcd(cancelled)
        self.start_api_server(cancelled)
        self._controller_manager = self._spawn(flags.controller_manager(self.layout))
        # It has no port to ask, but this is its work.
        self._controller_manager.wait_until(
            lambda: self.admin.answers("/api/v1/namespaces/default/serviceaccounts/default"),
            seconds=_READY_SECONDS,
            cancelled=cancelled,
        )

    def restart_controller_manager(self) -> None:
        """Restart the controller manager, so that it discovers every kind."""
        if self._controller_manager is not None:
            self._controller_manager.stop(_STOP_SECONDS)
        self._controller_manager = self._spawn(flags.controller_manager(self.layout))

    def start_api_server(self, cancelled: threading.Event) -> None:
        """Start the API server, on the same port and data as before.

        Raises:
            ControlPlaneError: It runs already, or did not come up in time.
            CancelledStartError: ``cancelled`` was set.
        """
        if self._api_server is not None and self._api_server.returncode is None:
            raise ControlPlaneError("the API server is already running")
        self._api_server = self._spawn(flags.api_server(self.layout, audit_log=self._audit_log))
        self._api_server.wait_until(
            lambda: self.admin.answers("/readyz"), seconds=_READY_SECONDS, cancelled=cancelled
        )

    def kill_api_server(self) -> None:
        """Take the API server away at once, as a crash would; etcd keeps its data."""
        if self._api_server is not None:
            self._api_server.kill()

    def compact(self) -> None:
        """Make etcd forget all history: every ``resourceVersion`` handed out so far is too old.

        Raises:
            ControlPlaneError: etcd refused.
        """
        # A write of its own makes even the newest revision that a client can hold an old one.
        key = {"key": _base64(b"/secret-sync-local/compacted"), "value": ""}
        revision = self._etcd_call("/v3/kv/put", key)["header"]["revision"]
        self._etcd_call("/v3/kv/compaction", {"revision": revision, "physical": True})

    def back_up(self, cancelled: threading.Event) -> None:
        """Keep etcd's data as they are, in place of a backup of before.

        Raises:
            ControlPlaneError: It did not come up again.
        """
        self._stop(self._etcd)
        shutil.rmtree(self.layout.etcd_backup, ignore_errors=True)
        shutil.copytree(self.layout.etcd_data, self.layout.etcd_backup)
        self._start_etcd(cancelled)

    def restore(self, cancelled: threading.Event) -> None:
        """Put back what ``back_up`` kept, with all of the control plane stopped meanwhile.

        Raises:
            ControlPlaneError: One did not come up again.
        """
        for process in (self._controller_manager, self._api_server, self._etcd):
            self._stop(process)
        shutil.rmtree(self.layout.etcd_data)
        shutil.copytree(self.layout.etcd_backup, self.layout.etcd_data)
        self.start(cancelled)

    def stop(self) -> None:
        """Stop what runs, in the reverse order of starting. May be called again."""
        for process in (self._controller_manager, self._api_server, self._etcd):
            self._stop(process)
        for port in self._ports:
            port.close()

    @staticmethod
    def _stop(process: Process | None) -> None:
        if process is not None:
            process.stop(_STOP_SECONDS)

    def _start_etcd(self, cancelled: threading.Event) -> None:
        self._etcd = self._spawn(flags.etcd(self.layout))
        self._etcd.wait_until(
            lambda: self._etcd_endpoint.answers("/health"),
            seconds=_READY_SECONDS,
            cancelled=cancelled,
        )

    def _spawn(self, argv: Sequence[str | Path]) -> Process:
        directory = self.layout.directory
        log = directory / f"{Path(argv[0]).name}.log"
        return Process(argv, log=log, cwd=directory, env=_ENVIRONMENT)

    def _etcd_call(self, path: str, body: Any) -> Any:
        answer = self._etcd_endpoint.request("POST", path, body)
        if answer.status != HTTPStatus.OK:
            raise ControlPlaneError(f"etcd refused {path} with {answer.status}: {answer.body}")
        return answer.body


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
