"""The command ``secret-sync local``."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.local import cloud_commands, demo, signals, up
from secret_sync.local.cloud import AdminError
from secret_sync.local.cloud.faults import FaultKind
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.errors import LocalError
from secret_sync.local.state import default_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from secret_sync.local.signals import Signals

    Command = Callable[[argparse.Namespace, Signals], Coroutine[Any, Any, int]]

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

_HELP: Final = """\
A playground on this machine: a real Kubernetes API server and a local Alibaba Cloud.

  secret-sync local demo    shows a Secret being kept in sync, from start to end, and cleans up
  secret-sync local up      starts both and runs until Ctrl-C

While 'up' runs, the other commands change the content and the behaviour of its cloud."""


def main(argv: Sequence[str]) -> int:
    """Run a command of the playground; return the exit code.

    A failure is one line on standard error and exit code 1, a usage error 2; a signal that ends a
    command early gives 128 plus its number.

    Args:
        argv: The arguments after ``local``.

    Raises:
        SystemExit: The usage is wrong, or help was requested.
    """
    arguments = build_parser().parse_args(list(argv))
    command: Command = arguments.command
    try:
        return signals.run(partial(command, arguments))
    except (LocalError, ControlPlaneError) as error:
        problem = str(error)
    except AdminError as error:
        # It begins with the HTTP status, which does not help.
        problem = str(error).partition(": ")[2]
    except OSError as error:
        problem = f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    sys.stderr.write(f"secret-sync local: {problem}\n")
    return EXIT_FAILURE


class _LocalParser(argparse.ArgumentParser):
    """argparse with one line for an error."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(EXIT_USAGE)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``secret-sync local``."""
    parser = _LocalParser(
        prog="secret-sync local",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    place = _LocalParser(add_help=False)
    place.add_argument(
        "--directory",
        type=Path,
        default=default_directory(os.environ),
        help="folder of the playground, if several run on this machine (default: the user's)",
    )
    commands = _group(parser)
    _add_up(commands, place)
    _add_demo(commands)
    _add_secret(commands, place)
    _add_parameter(commands, place)
    _add(
        commands, "access-key", cloud_commands.access_key, place, "print the AccessKey as a Secret"
    )
    _add_fault(commands, place)
    _add_calls(commands, place)
    _add_events(commands, place)
    return parser


def _group(parser: argparse.ArgumentParser) -> Any:
    return parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_LocalParser)


def _add(
    group: Any, name: str, command: Command, place: argparse.ArgumentParser | None, text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        parents=[] if place is None else [place],
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def _add_up(commands: Any, place: argparse.ArgumentParser) -> None:
    text = "start an API server and a local Alibaba Cloud, print how to use them, run until Ctrl-C"
    _add(commands, "up", up.up, place, text)


def _add_demo(commands: Any) -> None:
    parser = _add(commands, "demo", demo.demo, None, "show a Secret being kept in sync with KMS")
    parser.add_argument(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG", ""),
        metavar="FILE",
        help="an existing cluster to use; the demo creates a namespace and deletes it at the end; "
        "missing CRDs are applied and kept (default: $KUBECONFIG; if empty, a control plane is "
        "started)",
    )


def _add_secret(commands: Any, place: argparse.ArgumentParser) -> None:
    group = _group(commands.add_parser("secret", help="the secrets of the cloud's KMS"))
    put = _add(group, "put", cloud_commands.put_secret, place, "give a secret a new version")
    put.add_argument("name", metavar="NAME")
    value = put.add_mutually_exclusive_group(required=True)
    value.add_argument("value", metavar="VALUE", nargs="?")
    value.add_argument("--file", metavar="FILE", help="read the value from a file; - is stdin")
    put.add_argument("--binary", action="store_true", help="store a binary secret instead of text")
    _add(group, "list", cloud_commands.list_secrets, place, "list the secrets, without values")
    for name, command, text in (
        ("get", cloud_commands.get_secret, "show a secret's versions and stages, without values"),
        ("rotate", cloud_commands.rotate_secret, "give a secret a random value"),
        ("delete", cloud_commands.delete_secret, "delete a secret at once"),
    ):
        _add(group, name, command, place, text).add_argument("name", metavar="NAME")


def _add_parameter(commands: Any, place: argparse.ArgumentParser) -> None:
    group = _group(commands.add_parser("parameter", help="the encrypted parameters of its OOS"))
    put = _add(group, "put", cloud_commands.put_parameter, place, "give a parameter a new version")
    put.set_defaults(binary=None)  # a parameter is always text
    put.add_argument("name", metavar="NAME")
    value = put.add_mutually_exclusive_group(required=True)
    value.add_argument("value", metavar="VALUE", nargs="?")
    value.add_argument("--file", metavar="FILE", help="read the value from a file; - is stdin")
    _add(group, "list", cloud_commands.list_parameters, place, "list them, without values")
    _add(
        group, "delete", cloud_commands.delete_parameter, place, "delete a parameter at once"
    ).add_argument("name", metavar="NAME")


def _add_fault(commands: Any, place: argparse.ArgumentParser) -> None:
    group = _group(
        commands.add_parser("fault", help="inject faults into the cloud, and clear them")
    )
    put = _add(group, "set", cloud_commands.set_fault, place, "put a fault in force; prints its id")
    put.add_argument("kind", metavar="KIND", choices=[kind.value for kind in FaultKind],
                     help=f"one of {', '.join(kind.value for kind in FaultKind)}")  # fmt: skip
    for flag, kind, metavar, text in (
        ("subject", str, "PATTERN", "only calls for secrets of such names, as of a shell"),
        ("action", str, "ACTION", "only calls of this action, such as GetSecretValue"),
        ("access-key", str, "ID", "only calls with this AccessKey"),
        ("count", int, "N", "hits that many calls (default: all)"),
        ("probability", float, "P", "share of the calls that it hits"),
        ("qps", float, "N", "throttle: so many calls a second pass"),
        ("retry-after-ms", int, "MS", "throttle, error: sent as x-acs-retry-after"),
        ("seconds", float, "S", "delay: how long; drip: between two bytes"),
        ("status", int, "STATUS", "error, empty: the HTTP status"),
        ("code", str, "CODE", "throttle, error: the error code, such as Forbidden.KeyNotFound"),
    ):
        put.add_argument(f"--{flag}", type=kind, metavar=metavar, help=text)
    clear = _add(group, "clear", cloud_commands.clear_faults, place, "take back a fault, or all")
    clear.add_argument("id", metavar="ID", nargs="?", default="")


def _add_calls(commands: Any, place: argparse.ArgumentParser) -> None:
    calls = _add(commands, "calls", cloud_commands.calls, place, "what the cloud was asked")
    calls.add_argument("--last", type=int, metavar="N", default=0, help="list the last N calls")
    calls.add_argument("--reset", action="store_true", help="reset the counters afterwards")


def _add_events(commands: Any, place: argparse.ArgumentParser) -> None:
    text = "post an event to a URL when a secret changes, as EventBridge does"
    events = _add(commands, "events", cloud_commands.set_events, place, text)
    events.add_argument("url", metavar="URL", nargs="?", default="", help="none: post no more")
    events.add_argument("--token-file", metavar="FILE", help="its first line is sent as the token")
