"""The settings of the controller as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from secret_sync.errors import SecretSyncError

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
TemplateSecrets: TypeAlias = Literal["all", "granted"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]


class UsageError(SecretSyncError):
    """The command line or the environment asks for something that cannot be."""


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where to listen.

    Attributes:
        host: Address or name; ``""`` is every interface.
        port: 0 lets the system choose.
    """

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The forward proxies of the environment, as written there; ``""``: not set.

    The addresses may carry a password, so the representation leaves them out.
    """

    https_proxy: str = field(default="", repr=False)
    http_proxy: str = field(default="", repr=False)
    no_proxy: str = ""


#: Where the guide's installs mount the controller's token.
TOKEN_FILE: Final = "/var/run/secrets/tokens/ack-secret-manager"  # noqa: S105 (a path)


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """Who the controller itself is, by its environment; ``""`` is what is not set.

    The file of the token and the names of sessions name nobody by themselves.
    """

    role_arn: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = TOKEN_FILE
    access_key_id: str = field(default="", repr=False)
    access_key_secret: str = field(default="", repr=False)
    session_name: str = ""
    session_expiration: str = ""
    remote_role_arn: str = ""
    remote_session_name: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of `secret-sync run`. Durations are seconds; an empty tuple is "all".

    Attributes:
        region: ``""`` if neither the flag nor ALIBABA_CLOUD_REGION_ID nor REGION_ID says one.
        max_concurrent_kms_secret_pulls: KMS calls per second.
        exclude_namespaces: Here an empty tuple is "none", as it is for `allow_kms_endpoint`.
        leader_elect_namespace: ``""`` for the controller's own.
        metrics_bind_address: ``None`` serves no HTTP.
        refresh_bind_address: ``None`` serves no push refresh.
        kubeconfig: A path (of `--kubeconfig`, else of KUBECONFIG); ``""`` if there is none.
        context: Of the kubeconfig; ``""`` for its current one.
        ssl_cert_file: The bundle of SSL_CERT_FILE; ``""`` for the system's.
        no_effect: Flags the user gave that are accepted for compatibility only.
        metadata_endpoint: ``host[:port]`` of the ECS metadata service.
        own: From variables that are no flags of ours.
    """

    polling_interval: float = 120.0
    disable_polling: bool = False
    region: str = ""
    kms_endpoint: str = ""
    oos_endpoint: str = ""
    sts_endpoint: str = ""
    metadata_endpoint: str = "100.100.100.200"
    allow_kms_endpoint: tuple[str, ...] = ()
    cloud_connect_timeout: float = 5.0
    cloud_call_timeout: float = 10.0
    max_concurrent_kms_secret_pulls: int = 10
    max_concurrent_oos_secret_pulls: int = 10
    dry_run: bool = False
    reconcile_count: int = 16
    reconcile_period: float = 1.0
    process_cluster_external_secret: bool = True
    watch_namespaces: tuple[str, ...] = ()
    exclude_namespaces: tuple[str, ...] = ()
    enable_worker_role: bool = True
    cleanup_secret_on_failure: bool = False
    enable_cross_namespace_secret_store: bool = False
    enable_cross_namespace_auth_ref: bool = False
    controller_identity_namespaces: tuple[str, ...] = ()
    allow_role_arn: tuple[str, ...] = ()
    template_secrets: TemplateSecrets = "all"
    leader_elect: bool = False
    leader_elect_name: str = "secret-sync"
    leader_elect_namespace: str = ""
    leader_elect_lease_duration: float = 15.0
    leader_elect_renew_deadline: float = 10.0
    leader_elect_retry_period: float = 2.0
    metrics_bind_address: BindAddress | None = BindAddress("", 8080)
    refresh_bind_address: BindAddress | None = None
    refresh_token_dir: str = "/var/run/secrets/secret-sync/refresh"  # noqa: S105 (a path)
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    kubeconfig: str = ""
    context: str = ""
    uid: str = ""
    cluster_id: str = ""
    own: OwnIdentity = OwnIdentity()
    proxy: ProxySettings = ProxySettings()
    ssl_cert_file: str = ""
    no_effect: tuple[str, ...] = ()
