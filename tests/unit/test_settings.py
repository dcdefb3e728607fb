from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.settings import (
    BindAddress,
    OwnIdentity,
    ProxySettings,
    Settings,
    UsageError,
    parse_duration,
    parse_run_arguments,
)
from secret_sync.settings.flags import GROUPS, variable

if TYPE_CHECKING:
    from secret_sync.settings.flags import Flag

FLAGS = [flag for group in GROUPS.values() for flag in group]

# A value, as text and as it should be read, for each flag that has an effect now or later.
EXAMPLES: dict[str, tuple[str, object]] = {
    "watch-namespaces": ("team-a,team-b", ("team-a", "team-b")),
    "exclude-namespaces": ("kube-system", ("kube-system",)),
    "polling-interval": ("2m30s", 150.0),
    "disable-polling": ("true", True),
    "cleanup-secret-on-failure": ("true", True),
    "region": ("cn-hangzhou", "cn-hangzhou"),
    "kms-endpoint": ("kms.local:8443", "kms.local:8443"),
    "allow-kms-endpoint": ("kms.*.example.com", ("kms.*.example.com",)),
    "oos-endpoint": ("oos.local:8444", "oos.local:8444"),
    "sts-endpoint": ("sts.local", "sts.local"),
    "metadata-endpoint": ("127.0.0.1:81", "127.0.0.1:81"),
    "cloud-connect-timeout": ("8500ms", 8.5),
    "cloud-call-timeout": ("12s", 12.0),
    "max-concurrent-kms-secret-pulls": ("25", 25),
    "max-concurrent-oos-secret-pulls": ("7", 7),
    "enable-cross-namespace-secret-store": ("true", True),
    "enable-cross-namespace-auth-ref": ("true", True),
    "enable-worker-role": ("false", False),
    "controller-identity-namespaces": ("a,b", ("a", "b")),
    "template-secrets": ("granted", "granted"),
    "allow-role-arn": ("acs:ram::1:role/a-*", ("acs:ram::1:role/a-*",)),
    "uid": ("1234", "1234"),
    "cluster-id": ("c0ffee", "c0ffee"),
    "reconcile-count": ("4", 4),
    "reconcile-period": ("500ms", 0.5),
    "process-cluster-external-secret": ("false", False),
    "leader-elect": ("true", True),
    "leader-elect-name": ("secret-sync.b", "secret-sync.b"),
    "leader-elect-namespace": ("ops", "ops"),
    "leader-elect-lease-duration": ("30s", 30.0),
    "leader-elect-renew-deadline": ("12s", 12.0),
    "leader-elect-retry-period": ("500ms", 0.5),
    "metrics-bind-address": ("127.0.0.1:9090", BindAddress("127.0.0.1", 9090)),
    "refresh-bind-address": (":8081", BindAddress("", 8081)),
    "refresh-token-dir": ("/etc/refresh", "/etc/refresh"),
    "log-level": ("debug", "debug"),
    "log-format": ("json", "json"),
    "kubeconfig": ("conf/admin", "conf/admin"),
    "context": ("production", "production"),
    "dry-run": ("true", True),
}


def parse(*argv: str, **environ: str) -> Settings:
    return parse_run_arguments(argv, environ)


def test_nothing_given_is_the_documented_defaults() -> None:
    settings = parse()
    assert settings == Settings()
    assert settings.polling_interval == 120
    assert settings.max_concurrent_kms_secret_pulls == 10
    assert settings.max_concurrent_oos_secret_pulls == 10
    assert settings.reconcile_count == 16
    assert settings.reconcile_period == 1
    assert settings.enable_worker_role
    assert settings.metrics_bind_address == BindAddress("", 8080)
    assert settings.no_effect == ()


def test_every_flag_has_an_example_and_a_field() -> None:
    working = {flag.name for flag in FLAGS if flag.status != "compatibility"}
    assert working == EXAMPLES.keys()
    assert {name.replace("-", "_") for name in working} == (
        {field.name for field in fields(Settings)} - {"own", "proxy", "ssl_cert_file", "no_effect"}
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_flag_in_each_form_and_from_the_environment(name: str) -> None:
    text, value = EXAMPLES[name]
    field = name.replace("-", "_")
    assert getattr(parse(f"--{name}={text}"), field) == value
    assert getattr(parse(f"--{name}", text), field) == value
    assert getattr(parse(**{variable(name): text}), field) == value
    assert getattr(parse(**{variable(name): f" {text}\n"}), field) == value


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_the_default_the_help_shows_is_the_default(flag: Flag) -> None:
    if "{region}" in flag.default or not flag.default:
        return
    value = () if flag.default in {"all", "none"} else flag.read(flag.default)
    assert getattr(Settings(), flag.name.replace("-", "_")) == value


def test_a_switch_stands_alone_or_has_a_value() -> None:
    assert parse("--disable-polling").disable_polling
    assert parse("--disable-polling", "--region=x").disable_polling
    assert parse("--disable-polling=T").disable_polling
    assert not parse("--disable-polling=false").disable_polling
    assert not parse("--enable-worker-role=0").enable_worker_role


def test_the_command_line_wins_over_the_environment_and_the_last_flag_over_the_first() -> None:
    settings = parse("--reconcile-count=2", "--reconcile-count=3", SECRET_SYNC_RECONCILE_COUNT="4")
    assert settings.reconcile_count == 3
    assert not parse("--disable-polling=false", SECRET_SYNC_DISABLE_POLLING="1").disable_polling


def test_an_empty_variable_is_absent() -> None:
    settings = parse(SECRET_SYNC_POLLING_INTERVAL="", SECRET_SYNC_DISABLE_POLLING=" ")
    assert settings == Settings()


def test_lists_drop_blanks_and_repetitions_and_add_up() -> None:
    assert parse("--watch-namespaces= a, b,,a ,").watch_namespaces == ("a", "b")
    assert parse("--watch-namespaces=").watch_namespaces == ()
    both = parse("--allow-kms-endpoint=a", "--allow-kms-endpoint", "b,c")
    assert both.allow_kms_endpoint == ("a", "b", "c")


def test_the_old_name_of_the_kms_rate() -> None:
    assert parse("--max-concurrent-secret-pulls=5").max_concurrent_kms_secret_pulls == 5
    new_wins = parse("--max-concurrent-kms-secret-pulls=6", "--max-concurrent-secret-pulls=5")
    assert new_wins.max_concurrent_kms_secret_pulls == 6
    old_flag = parse(
        "--max-concurrent-secret-pulls=5", SECRET_SYNC_MAX_CONCURRENT_KMS_SECRET_PULLS="7"
    )
    assert old_flag.max_concurrent_kms_secret_pulls == 5
    old_variable = parse(SECRET_SYNC_MAX_CONCURRENT_SECRET_PULLS="8")
    assert old_variable.max_concurrent_kms_secret_pulls == 8


def test_region_and_kubeconfig_fall_back_on_their_usual_variables() -> None:
    everywhere = {
        "SECRET_SYNC_REGION": "b",
        "ALIBABA_CLOUD_REGION_ID": "c",
        "REGION_ID": "d",
    }
    assert parse("--region=a", **everywhere).region == "a"
    for name, region in zip(everywhere, "bcd", strict=True):
        later = dict(list(everywhere.items())[list(everywhere).index(name) :])
        assert parse(**later).region == region
    assert parse(KUBECONFIG="x").kubeconfig == "x"
    assert parse("--kubeconfig=y", KUBECONFIG="x").kubeconfig == "y"


def test_flags_kept_for_compatibility_are_named_and_never_wrong() -> None:
    settings = parse(
        "--backend",
        "x",
        "--process-cluster-secret-store",
        SECRET_SYNC_TOKEN_ROTATION_PERIOD="whatever",
    )
    assert settings.no_effect == (
        "SECRET_SYNC_TOKEN_ROTATION_PERIOD",
        "--backend",
        "--process-cluster-secret-store",
    )
    assert settings == Settings(no_effect=settings.no_effect)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--leader-elect-name="], ["--leader-elect-name", "the name of an object"]),
        (["--leader-elect-name=A"], ["--leader-elect-name", "the name of an object"]),
        (["--leader-elect-namespace=a.b"], ["--leader-elect-namespace", "of a namespace"]),
        (["--leader-elect-lease-duration=2h"], ["--leader-elect-lease-duration", "1h"]),
        (["--leader-elect-lease-duration=500ms"], ["--leader-elect-lease-duration", "1s"]),
        (["--leader-elect-retry-period=0s"], ["--leader-elect-retry-period", "more than 0s"]),
        (
            ["--leader-elect-lease-duration=10s"],
            [
                "--leader-elect-lease-duration (10s)",
                "more than --leader-elect-renew-deadline (10s)",
            ],
        ),
        (
            ["--leader-elect-renew-deadline=15s"],
            [
                "--leader-elect-lease-duration (15s)",
                "more than --leader-elect-renew-deadline (15s)",
            ],
        ),
        (
            ["--leader-elect-renew-deadline=2400ms"],
            ["--leader-elect-renew-deadline (2.4s)", "1.2 times --leader-elect-retry-period (2s)"],
        ),
        (["--polling-intervall=3s"], ["--polling-intervall", "did you mean --polling-interval?"]),
        (["--nonsense"], ["--nonsense", "--help"]),
        (["stray"], ["'stray'"]),
        (["--region"], ["--region", "argument"]),
        (["--polling-interval=120"], ["--polling-interval", "'120'", "120s"]),
        (["--polling-interval=0s"], ["--polling-interval", "more than 0s"]),
        (["--polling-interval=-5s"], ["--polling-interval", "more than 0s"]),
        (["--cloud-call-timeout=5"], ["--cloud-call-timeout", "'5'", "120s"]),
        (["--cloud-call-timeout=0s"], ["--cloud-call-timeout", "more than 0s"]),
        (["--cloud-call-timeout=26s"], ["--cloud-call-timeout", "at most 25s"]),
        (["--cloud-connect-timeout=11s"], ["--cloud-connect-timeout", "at most --cloud-call"]),
        (["--cloud-call-timeout=4s"], ["--cloud-connect-timeout", "at most --cloud-call"]),
        (["--reconcile-period=6m"], ["--reconcile-period", "5m"]),
        (["--disable-polling=maybe"], ["--disable-polling", "true or false"]),
        (["--disable-polling", "maybe"], ["--disable-polling", "true or false"]),
        (["--reconcile-count=0"], ["--reconcile-count", "1 or more"]),
        (["--reconcile-count=1_0"], ["--reconcile-count", "1 or more"]),
        (["--reconcile-count=" + "9" * 5000], ["--reconcile-count", "1 or more"]),
        (["--watch-namespaces=ok,Not_ok"], ["--watch-namespaces", "'Not_ok'"]),
        (["--region=cn hangzhou"], ["--region", "cn-hangzhou"]),
        (["--kms-endpoint=https://kms/"], ["--kms-endpoint", "without https://"]),
        (["--metrics-bind-address=8080"], ["--metrics-bind-address", ":port"]),
        (["--metrics-bind-address=:70000"], ["--metrics-bind-address", ":port"]),
        (["--metrics-bind-address=::1:80"], ["--metrics-bind-address", "brackets"]),
        (["--log-level=loud"], ["--log-level", "debug, info, warning, error"]),
        (["--log-format=xml"], ["--log-format", "auto, json, console"]),
        (["--region=a\nb"], ["--region"]),
    ],
)
def test_settings_error_is_one_line(argv: list[str], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*argv)
    assert all(word in caught.value.message for word in words)
    assert "\n" not in caught.value.message


def test_a_wrong_variable_is_named_as_the_variable() -> None:
    with pytest.raises(UsageError, match=r"^SECRET_SYNC_RECONCILE_COUNT: 'x'"):
        parse(SECRET_SYNC_RECONCILE_COUNT="x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0", None),
        (":0", BindAddress("", 0)),
        ("[::1]:80", BindAddress("::1", 80)),
        ("localhost:8080", BindAddress("localhost", 8080)),
    ],
)
def test_metrics_bind_address(text: str, address: BindAddress | None) -> None:
    assert parse(f"--metrics-bind-address={text}").metrics_bind_address == address


def test_proxies_and_certificates_come_from_the_environment() -> None:
    settings = parse(
        HTTPS_PROXY="http://user:s3cret@proxy:3128",
        https_proxy="http://other",
        http_proxy="http://user:s3cret@proxy:3129",
        no_proxy="10.0.0.0/8,.svc",
        SSL_CERT_FILE="bundle.pem",
    )
    assert settings.proxy == ProxySettings(
        "http://user:s3cret@proxy:3128", "http://user:s3cret@proxy:3129", "10.0.0.0/8,.svc"
    )
    assert settings.ssl_cert_file == "bundle.pem"
    assert "s3cret" not in repr(settings)


def test_help_has_a_line_for_each_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for flag in FLAGS:
        (line,) = (line for line in lines if line.split()[:1] == [f"--{flag.name}"])
        assert flag.help in line
    assert max(map(len, lines)) <= 120


# -- Durations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120s", 120),
        ("2m30s", 150),
        ("1.5h", 5400),
        ("1h2m3.5s", 3723.5),
        ("300ms", 0.3),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1ns", 1e-9),
        (".5s", 0.5),
        ("5.s", 5),
        ("-2m", -120),
        ("+2m", 120),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_durations_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "12", "1 s", "1d", "1s2", "x1s", "--1s", "1e3s", "\u0661s", ".s", "9" * 400 + "h"],
)
def test_durations_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|years"):
        parse_duration(text)


@given(st.integers(0, 1000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, ms: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{ms}ms"
    assert math.isclose(
        parse_duration(text), hours * 3600 + minutes * 60 + seconds + ms / 1000, abs_tol=1e-9
    )


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert math.isfinite(seconds)


def test_the_controllers_own_identity_is_read_from_its_environment() -> None:
    own = parse(
        ALICLOUD_ROLE_ARN="role",
        ALIBABA_CLOUD_ROLE_ARN="the webhook's",
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN="provider",
        ALIBABA_CLOUD_OIDC_TOKEN_FILE="/token",
        ACCESS_KEY_ID="id",
        SECRET_ACCESS_KEY="secret",
        ALICLOUD_ROLE_SESSION_NAME="session",
        ALICLOUD_ROLE_SESSION_EXPIRATION="900",
        ALICLOUD_REMOTE_ROLE_ARN="remote",
        ALICLOUD_REMOTE_ROLE_SESSION_NAME=" far ",
    ).own
    assert own == OwnIdentity(
        role_arn="role",
        oidc_provider_arn="provider",
        oidc_token_file="/token",
        access_key_id="id",
        access_key_secret="secret",
        session_name="session",
        session_expiration="900",
        remote_role_arn="remote",
        remote_session_name="far",
    )
    assert "secret=" not in repr(own)
    assert "'id'" not in repr(own)


def test_without_any_of_it_the_token_is_where_the_guide_mounts_it() -> None:
    own = parse(ALICLOUD_OIDC_TOKEN_FILE=" ", ACCESS_KEY_ID="").own
    assert own == OwnIdentity()
    assert own.oidc_token_file == "/var/run/secrets/tokens/ack-secret-manager"


@pytest.mark.parametrize("name", ["ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"])
def test_the_names_of_ack_secret_manager_win_over_those_of_the_webhook(name: str) -> None:
    webhook = {f"ALIBABA_CLOUD_{name}": "webhook"}
    for before, value in (({f"ALICLOUD_{name}": "own"}, "own"), ({f"ALICLOUD_{name}": ""}, "")):
        own = parse(**webhook, **before).own
        assert getattr(own, name.lower()) == (value or "webhook")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SECRET_SYNC_POLING_INTERVAL", "SECRET_SYNC_POLLING_INTERVAL"),
        (
            "SECRET_SYNC_CONTROLLER_IDENTITY_NAMESPACE",
            "SECRET_SYNC_CONTROLLER_IDENTITY_NAMESPACES",
        ),
        ("SECRET_SYNC_REGOIN", "SECRET_SYNC_REGION"),
    ],
)
def test_a_variable_that_is_nearly_one_of_ours_is_refused(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown variable {name} \(did you mean {meant}\?\)"):
        parse_run_arguments([], {name: "5m"})


def test_the_variables_that_kubernetes_sets_for_a_service_of_our_name_are_let_be() -> None:
    names = (
        "SECRET_SYNC_SERVICE_HOST SECRET_SYNC_SERVICE_PORT SECRET_SYNC_SERVICE_PORT_METRICS "
        "SECRET_SYNC_PORT SECRET_SYNC_PORT_8080_TCP SECRET_SYNC_PORT_8080_TCP_ADDR "
        "SECRET_SYNC_PORT_8080_TCP_PORT SECRET_SYNC_PORT_8080_TCP_PROTO"
    )
    found = parse_run_arguments([], dict.fromkeys(names.split(), "tcp://10.0.0.1:8080"))
    assert found == parse_run_arguments([], {})
