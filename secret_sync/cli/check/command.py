"""The command: its flags and exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser
from secret_sync.cli.check import report
from secret_sync.cli.check.examine import Options, examine
from secret_sync.cli.check.files import STDIN, STDIN_NAME, UnreadableError, expand, read
from secret_sync.cli.check.simulated_cluster import Rules
from secret_sync.cli.terminal import Screen, say
from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.errors import DefiniteError
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

_DESCRIPTION: Final = """\
Checks manifests of ExternalSecrets and SecretStores before they are applied. It contacts neither a
cluster nor Alibaba Cloud. Messages are those of the API server or the controller; the reason that
the condition Ready would have follows in parentheses.

  FILE is YAML or JSON with any number of documents, - for standard input, or a directory, which
  is searched recursively for *.yaml, *.yml and *.json. Objects of other kinds are skipped; Secrets,
  ConfigMaps, ServiceAccounts and Namespaces among them are treated as the objects of the cluster.
  Values of a Secret are only checked for being empty, unless they are templates.

  problem  it cannot work
  warning  it works or may work, but is hardly what was meant
  note     what the files alone do not show, such as a store that is in none of them

Reasons that conditions do not have: Invalid (the API server would refuse the object), UnknownField
(kubectl would refuse it), UnknownKind, BadYAML, Unreadable, DefinedTwice, Ignored, UnknownKey,
SampleUnused.

With --sample it shows which keys the Secret would have: --sample db=db.json is the value of the
entries with the key db. A template is rendered if all its entries have samples. Values are shown
only with --show-values."""

_EPILOG: Final = """\
-o json prints one document:
  version    1; it changes when the meaning of a field changes
  good       whether there is no problem
  files, objects, skipped  numbers of files, of objects of secret-sync, of other documents
  problems, warnings, notes  lists: file, line, column (from 1; 0 is the whole file), kind,
             namespace, name, path (of the field), reason, message
  samples    a list, one item for each ExternalSecret: file, line, namespace, name, secret, keys,
             labels, annotations (names), without (entries without a usable sample), and with
             --show-values data (as in a Secret)

Exit codes: 0 no problem, 1 problems, 2 wrong usage."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``check``.
        environ: The environment.

    Raises:
        UsageError: The command line is invalid.
    """
    arguments = _parser().parse_args(list(argv))
    if arguments.show_values and not arguments.sample:
        raise UsageError("--show-values needs --sample SECRET=FILE")
    logs.configure("error", "auto")
    options = Options(
        rules=Rules(
            allowed=_endpoints(arguments.allow_kms_endpoint),
            cross_stores=arguments.enable_cross_namespace_secret_store,
            cross_auth=arguments.enable_cross_namespace_auth_ref,
        ),
        namespace=arguments.namespace or "default",
        namespace_given=bool(arguments.namespace),
        samples=_samples(arguments.sample),
    )
    found = examine(_contents(arguments.files), options)
    if arguments.output == "json":
        say(report.document(found, values=arguments.show_values))
    else:
        screen = Screen.of(sys.stdout, environ)
        say(report.text(found, screen, values=arguments.show_values))
    return 0 if found.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser("check", _DESCRIPTION, _EPILOG)
    parser.add_argument("files", metavar="FILE", nargs="+", help="file or directory to check")
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        default="",
        help="namespace of objects without one (default: 'default'; references to other "
        "namespaces are then warnings)",
    )
    parser.add_argument(
        "--sample",
        metavar="SECRET=FILE",
        action="append",
        default=[],
        help="a value of this key as KMS or OOS may have it; may be repeated",
    )
    parser.add_argument(
        "--show-values",
        action="store_true",
        help="show values extracted from samples, not only keys",
    )
    parser.add_argument(
        "--allow-kms-endpoint",
        metavar="LIST",
        action="append",
        default=[],
        help="comma-separated hosts that the controller allows; may be repeated",
    )
    for flag in ("--enable-cross-namespace-secret-store", "--enable-cross-namespace-auth-ref"):
        parser.add_argument(flag, action="store_true", help="the controller has this flag")
    parser.add_argument(
        "-o",
        "--output",
        choices=["text", "json"],
        default="text",
        help="output format (default: text)",
    )
    return parser


def _endpoints(lists: Sequence[str]) -> EndpointRules:
    try:
        return EndpointRules(part.strip() for text in lists for part in text.split(",") if part)
    except DefiniteError as error:
        raise UsageError(error.message) from None


def _samples(arguments: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for argument in arguments:
        key, equals, name = argument.partition("=")
        if not (key and equals and name):
            raise UsageError(f"--sample: invalid value {argument!r}: expected SECRET=FILE")
        if key in found:
            raise UsageError(f"--sample: {key!r} is given twice")
        try:
            found[key] = read(name)
        except UnreadableError as error:
            raise UsageError(f"--sample {key}={name}: {error.message}") from None
    return found


def _contents(arguments: Sequence[str]) -> dict[str, bytes | str]:
    """Return the content of each file, or why it cannot be read; duplicates count once."""
    found: dict[str, bytes | str] = {}
    for argument in arguments:
        names = list(expand(argument))
        if not names:
            raise UsageError(f"{argument}: no *.yaml, *.yml or *.json files found")
        for name in names:
            shown = STDIN_NAME if name == STDIN else name
            if shown not in found:
                found[shown] = _content(name)
    return found


def _content(name: str) -> bytes | str:
    try:
        return read(name)
    except UnreadableError as error:
        return error.message
