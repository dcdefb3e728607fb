"""The flags of `secret-sync run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from secret_sync.settings.values import (
    backoff_base,
    bind_address,
    boolean,
    call_limit,
    count,
    dns_name,
    endpoint,
    items,
    lease_duration,
    namespace,
    namespaces,
    one_of,
    positive_duration,
    region,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENVIRONMENT_PREFIX: Final = "SECRET_SYNC_"


def variable(name: str) -> str:
    """Return the environment variable that stands for a flag."""
    return ENVIRONMENT_PREFIX + name.replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; its field of `Settings` is its name with underscores.

    Attributes:
        read: Turns text into the value.
        value: What the help calls the value; ``""`` for a switch.
        help: One line.
        default: The default, for people; ``""`` where the help says it.
        environment: Further variables, which are read last.
        former: Older names of the flag.
        status: Whether the flag works, or is for compatibility only.
    """

    name: str
    read: Callable[[str], Any]
    value: str
    help: str
    default: str = ""
    environment: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    status: Literal["", "compatibility"] = ""

    @property
    def is_switch(self) -> bool:
        """Whether the flag may stand alone, which means true."""
        return self.read is boolean

    @property
    def is_list(self) -> bool:
        """Whether giving the flag again adds to it instead of replacing it."""
        return self.value == "LIST"


GROUPS: Final[Mapping[str, Sequence[Flag]]] = {
    "What is synced": (
        Flag("watch-namespaces", namespaces, "LIST", "only these namespaces", "all"),
        Flag("exclude-namespaces", namespaces, "LIST", "not these namespaces", "none"),
        Flag(
            "polling-interval",
            positive_duration,
            "DURATION",
            "how often a KMS secret is checked for a new value",
            "120s",
        ),
        Flag("disable-polling", boolean, "", "no periodic checks; changes and retries only"),
        Flag(
            "cleanup-secret-on-failure",
            boolean,
            "",
            "delete a Secret once none of its KMS secrets exists",
        ),
    ),
    "Alibaba Cloud": (
        Flag(
            "region",
            region,
            "REGION",
            "region of KMS; else ALIBABA_CLOUD_REGION_ID, REGION_ID",
            environment=("ALIBABA_CLOUD_REGION_ID", "REGION_ID"),
        ),
        Flag("kms-endpoint", endpoint, "HOST[:PORT]", "KMS host", "kms-vpc.{region}.aliyuncs.com"),
        Flag(
            "allow-kms-endpoint",
            items,
            "LIST",
            "patterns of further KMS hosts that objects may name",
            "none",
        ),
        Flag("oos-endpoint", endpoint, "HOST[:PORT]", "OOS host", "oos-vpc.{region}.aliyuncs.com"),
        Flag("sts-endpoint", endpoint, "HOST[:PORT]", "STS host", "sts-vpc.{region}.aliyuncs.com"),
        Flag(
            "metadata-endpoint",
            endpoint,
            "HOST[:PORT]",
            "metadata service of the node, without a proxy",
            "100.100.100.200",
        ),
        Flag(
            "cloud-connect-timeout",
            call_limit,
            "DURATION",
            "limit for a connection to Alibaba Cloud, a proxy's tunnel included",
            "5s",
        ),
        Flag(
            "cloud-call-timeout", call_limit, "DURATION", "limit for a call and its answer", "10s"
        ),
        Flag(
            "max-concurrent-kms-secret-pulls",
            count,
            "N",
            "KMS calls per second (old name: --max-concurrent-secret-pulls)",
            "10",
            former=("max-concurrent-secret-pulls",),
        ),
        Flag(
            "max-concurrent-oos-secret-pulls",
            count,
            "N",
            "OOS calls per second",
            "10",
        ),
    ),
    "Who may use what": (
        Flag(
            "enable-cross-namespace-secret-store",
            boolean,
            "",
            "ExternalSecrets may use stores of other namespaces",
        ),
        Flag(
            "enable-cross-namespace-auth-ref",
            boolean,
            "",
            "stores may use Secrets and ServiceAccounts of other namespaces",
        ),
        Flag(
            "enable-worker-role",
            boolean,
            "",
            "stores without an identity may use the RAM role of the node",
            "true",
        ),
        Flag(
            "controller-identity-namespaces",
            items,
            "LIST",
            "namespaces that may use the controller's own identity",
            "all",
        ),
        Flag(
            "allow-role-arn",
            items,
            "LIST",
            "patterns of roles that stores may have the controller assume",
            "all",
        ),
        Flag(
            "template-secrets",
            one_of("all", "granted"),
            "RULE",
            "Secrets that may hold templates: all (default), or granted: annotated ones",
        ),
        Flag("uid", str, "ID", "Alibaba Cloud account, for the OIDC provider's ARN"),
        Flag("cluster-id", str, "ID", "ACK cluster, for the OIDC provider's ARN"),
    ),
    "Running": (
        Flag("dry-run", boolean, "", "write nothing; the log says what would be written"),
        Flag("reconcile-count", count, "N", "workers", "16"),
        Flag(
            "process-cluster-external-secret",
            boolean,
            "",
            "process ClusterExternalSecrets, where their CRD is installed",
            "true",
        ),
        Flag("reconcile-period", backoff_base, "DURATION", "first wait after a failure", "1s"),
        Flag("leader-elect", boolean, "", "several replicas, of which one is active"),
        Flag("leader-elect-name", dns_name, "NAME", "Lease they share", "secret-sync"),
        Flag("leader-elect-namespace", namespace, "NAME", "its namespace; else the controller's"),
        Flag(
            "leader-elect-lease-duration",
            lease_duration,
            "DURATION",
            "time after which a silent leader is replaced",
            "15s",
        ),
        Flag(
            "leader-elect-renew-deadline",
            positive_duration,
            "DURATION",
            "time after which a leader that cannot renew stops",
            "10s",
        ),
        Flag(
            "leader-elect-retry-period",
            positive_duration,
            "DURATION",
            "time between two attempts at the Lease",
            "2s",
        ),
        Flag(
            "metrics-bind-address",
            bind_address,
            "[HOST]:PORT",
            "metrics and health; 0 turns them off",
            ":8080",
        ),
        Flag(
            "refresh-bind-address",
            bind_address,
            "[HOST]:PORT",
            "serve POST /refresh, for events of KMS; 0 turns it off",
            "0",
        ),
        Flag(
            "refresh-token-dir",
            str,
            "PATH",
            "files with its tokens",
            "/var/run/secrets/secret-sync/refresh",
        ),
        Flag(
            "log-level",
            one_of("debug", "info", "warning", "error"),
            "LEVEL",
            "debug, info, warning or error",
            "info",
        ),
        Flag(
            "log-format",
            one_of("auto", "json", "console"),
            "FORMAT",
            "json, console, or auto: console on a terminal",
            "auto",
        ),
        Flag(
            "kubeconfig",
            str,
            "PATH",
            "cluster to work on; else KUBECONFIG, else the one it runs in",
            environment=("KUBECONFIG",),
        ),
        Flag("context", str, "NAME", "context of the kubeconfig; else its current one"),
    ),
    "Accepted for compatibility, without effect": (
        Flag("token-rotation-period", str, "DURATION", "", status="compatibility"),
        Flag("backend", str, "NAME", "", status="compatibility"),
        Flag("process-cluster-secret-store", boolean, "", "", status="compatibility"),
    ),
}
