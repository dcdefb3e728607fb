"""From the command line and the environment to `Settings`.

A flag of the command line wins over its environment variable, which wins over the default.
Flags come in Go's forms, since the manifests of ack-secret-manager pass them so.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.settings.flags import GROUPS, variable
from secret_sync.settings.model import OwnIdentity, ProxySettings, Settings, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from secret_sync.settings.flags import Flag

_INTRODUCTION: Final = f"""\
usage: secret-sync run [flags]

Keep Kubernetes Secrets in sync with Alibaba Cloud KMS until stopped.

Write --name=value or --name value; a switch alone is true, --switch=false turns it off.
A DURATION is 120s, 2m30s, 1.5h; a LIST is a,b,c. Each flag can also be an environment
variable, {variable("polling-interval")}=2m for --polling-interval=2m; the flag wins."""


def parse_run_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings of `secret-sync run`.

    Args:
        argv: The arguments after ``run``.
        environ: The environment; an empty variable counts as absent.

    Raises:
        UsageError: A flag or a value is wrong; the message is one line.
        SystemExit: ``--help`` was given, and printed.
    """
    return build_settings(_read_command_line(argv), environ)


def build_settings(given: Mapping[str, list[str]], environ: Mapping[str, str]) -> Settings:
    """Return the settings from the texts of flags, by name, and the environment.

    Raises:
        UsageError: A flag or a value is wrong; the message is one line.
    """
    _check_variables(environ)
    values: dict[str, Any] = {}
    no_effect: list[str] = []
    for flag in _flags():
        source, text = _find(flag, given, environ)
        if text is None:
            continue
        if flag.status == "compatibility":
            no_effect.append(source)
            continue
        try:
            values[flag.name.replace("-", "_")] = flag.read(text)
        except ValueError as error:
            raise UsageError(f"{source}: {text!r} will not do: {error}") from None
    settings = Settings(
        **values,
        own=own_identity(environ),
        proxy=ProxySettings(
            https_proxy=_either(environ, "HTTPS_PROXY"),
            http_proxy=_either(environ, "HTTP_PROXY"),
            no_proxy=_either(environ, "NO_PROXY"),
        ),
        ssl_cert_file=environ.get("SSL_CERT_FILE", ""),
        no_effect=tuple(no_effect),
    )
    if settings.cloud_connect_timeout > settings.cloud_call_timeout:
        raise UsageError(
            "--cloud-connect-timeout must be at most --cloud-call-timeout, of which it is a part"
        )
    _check_lease(settings)
    return settings


def _check_variables(environ: Mapping[str, str]) -> None:
    """Reject a variable that is almost one of ours, since its author relies on it.

    Others are let be. Kubernetes sets some with our prefix in each pod beside a Service of our name
    (``SECRET_SYNC_SERVICE_HOST``).

    Raises:
        UsageError: There is one.
    """
    known = [variable(name) for flag in _flags() for name in (flag.name, *flag.former)]
    for name in environ:
        if name.startswith(variable("")) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=_NEARLY)
            if close:
                raise UsageError(f"unknown variable {name} (did you mean {close[0]}?)")


#: How alike two names are of which one is taken for a slip of the other.
_NEARLY: Final = 0.93
#: How much longer than its period a retry may take; as client-go has it.
_JITTER: Final = 1.2


def _check_lease(settings: Settings) -> None:
    """Hold the times of the Lease against each other, as client-go does.

    Raises:
        UsageError: A leader could not renew its Lease in time, or would not stop in time.
    """
    duration, renew, retry = (
        settings.leader_elect_lease_duration,
        settings.leader_elect_renew_deadline,
        settings.leader_elect_retry_period,
    )
    if duration <= renew:
        raise UsageError(
            f"--leader-elect-lease-duration ({duration:g}s) must be more than "
            f"--leader-elect-renew-deadline ({renew:g}s)"
        )
    if renew <= _JITTER * retry:
        raise UsageError(
            f"--leader-elect-renew-deadline ({renew:g}s) must be more than {_JITTER:g} times "
            f"--leader-elect-retry-period ({retry:g}s)"
        )


def _flags() -> list[Flag]:
    return [flag for group in GROUPS.values() for flag in group]


#: The variables of ack-secret-manager, then those that ACK's RRSA webhook injects.
OWN_IDENTITY: Final = {
    "role_arn": ("ALICLOUD_ROLE_ARN", "ALIBABA_CLOUD_ROLE_ARN"),
    "oidc_provider_arn": ("ALICLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
    "oidc_token_file": ("ALICLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
    "access_key_id": ("ACCESS_KEY_ID",),
    "access_key_secret": ("SECRET_ACCESS_KEY",),
    "session_name": ("ALICLOUD_ROLE_SESSION_NAME",),
    "session_expiration": ("ALICLOUD_ROLE_SESSION_EXPIRATION",),
    "remote_role_arn": ("ALICLOUD_REMOTE_ROLE_ARN",),
    "remote_session_name": ("ALICLOUD_REMOTE_ROLE_SESSION_NAME",),
}


def own_identity(environ: Mapping[str, str]) -> OwnIdentity:
    """Return the identity that the environment gives the controller itself."""
    found = {
        field: next((text for name in names if (text := environ.get(name, "").strip())), "")
        for field, names in OWN_IDENTITY.items()
    }
    return OwnIdentity(**{field: text for field, text in found.items() if text})


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _find(
    flag: Flag, given: Mapping[str, list[str]], environ: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return where the flag's text comes from and the text, or ``None`` if there is none."""
    names = (flag.name, *flag.former)
    for name in names:
        if texts := given.get(name):
            return f"--{name}", ",".join(texts) if flag.is_list else texts[-1]
    for name in (*map(variable, names), *flag.environment):
        if text := environ.get(name, "").strip():
            return name, text
    return flag.name, None


class _Parser(argparse.ArgumentParser):
    """argparse with one line for an error and a help that is one line a flag."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    def format_help(self) -> str:
        return _help(shutil.get_terminal_size().columns)


def _read_command_line(argv: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts of each flag that stands on the command line, by name."""
    parser = _Parser(prog="secret-sync run", allow_abbrev=False)
    add_flags(parser)
    given, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise UsageError(_unknown(unknown[0]))
    return {name: texts for name, texts in vars(given).items() if texts is not None}


def add_flags(parser: argparse.ArgumentParser, *, without: Collection[str] = ()) -> list[str]:
    """Add the flags of `secret-sync run` to a parser, which collects their texts by name.

    Args:
        parser: The parser; its help does not list them.
        without: Flags that it has itself, or does not take.

    Returns:
        Their names.
    """
    names = []
    for flag in _flags():
        alone: dict[str, Any] = {"nargs": "?", "const": "true"} if flag.is_switch else {}
        for name in (flag.name, *flag.former):
            if name not in without:
                names.append(name)
                parser.add_argument(
                    f"--{name}", dest=name, action="append", help=argparse.SUPPRESS, **alone
                )
    return names


def _unknown(argument: str) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return f"{argument!r} is not a flag (see secret-sync run --help)"
    names = [f"--{name}" for flag in _flags() for name in (flag.name, *flag.former)]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "see secret-sync run --help"
    return f"unknown flag {name!r} ({hint})"


def _help(width: int) -> str:
    lines = [_INTRODUCTION]
    column = 2 + max(len(_usage(flag)) for flag in _flags()) + 2
    for title, flags in GROUPS.items():
        lines += ["", f"{title}:"]
        for flag in flags:
            notes = [f"[{flag.default}]"] if flag.default else []
            left = f"  {_usage(flag)}".ljust(column)
            text = " ".join([flag.help, *notes]).strip()
            # Where the terminal is too narrow for one line, the text goes below its flag.
            if len(left) + len(text) > width and width < 2 * column:
                lines += [left.rstrip(), f"      {text}".rstrip()]
            else:
                lines.append(f"{left}{text}".rstrip())
    return "\n".join(lines) + "\n"


def _usage(flag: Flag) -> str:
    return f"--{flag.name} {flag.value}".rstrip()
