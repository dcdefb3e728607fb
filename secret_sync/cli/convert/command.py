"""The command: its flags, output and exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from secret_sync import logs
from secret_sync.cli.arguments import Parser
from secret_sync.cli.check.documents import read_documents
from secret_sync.cli.check.files import STDIN, STDIN_NAME, UnreadableError, expand, read
from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.conversion import convert, text_of
from secret_sync.cli.terminal import say
from secret_sync.settings import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from secret_sync.cli.convert.comments import Converted

_DESCRIPTION: Final = """\
Converts manifests of the External Secrets Operator (SecretStore, ClusterSecretStore,
ExternalSecret, ClusterExternalSecret; external-secrets.io/v1 and v1beta1) with provider.alibaba,
and prints ours. It contacts no cluster. How Secrets are taken over is a page of the documentation.

  FILE is YAML or JSON with any number of documents or Lists, - for standard input, or a directory,
  which is searched recursively for *.yaml, *.yml and *.json. Convert stores together with the
  objects that use them. Objects of other kinds are ignored.

Comments in the output:

  LOST        it has no counterpart; the Secret is the same without it
  DIFFERS     it was converted, and behaves differently in some case
  INCOMPLETE  it has no counterpart, and the Secret needs it: the object is printed as comments, so
              that `| kubectl apply -f -` does not write a Secret without some of its keys"""

_EPILOG: Final = """\
A summary and errors of files go to standard error.

Exit codes: 0 all was converted, 1 something was LOST or INCOMPLETE, or a file cannot be read (with
--strict also: something DIFFERS), 2 wrong usage."""


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``convert``.

    Raises:
        UsageError: The command line is invalid.
    """
    arguments = _parser().parse_args(list(argv))
    logs.configure("error", "auto")
    documents, problems = _read(arguments.files)
    converted = convert(documents, region=arguments.region, adopt=arguments.adopt)
    say("---\n".join(text_of(one) for one in converted))
    for problem in problems:
        sys.stderr.write(f"secret-sync convert: {problem}\n")
    sys.stderr.write(f"{_summary(converted)}\n")
    counted = [
        Effect.LOST,
        Effect.INCOMPLETE,
        *([Effect.DIFFERS] if arguments.strict else []),
    ]
    return 1 if problems or any(_count(converted, level) for level in counted) else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("convert", _DESCRIPTION, _EPILOG)
    parser.add_argument("files", metavar="FILE", nargs="+", help="file or directory to convert")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="let the new objects take over the Secrets that the operator has written",
    )
    parser.add_argument(
        "--region",
        metavar="REGION",
        default="",
        help="the region of secret-sync: entries of stores of this region get no kmsEndpoint, and "
        "KMS is called within the VPC (default: each entry gets the public endpoint, as before)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 also if something behaves differently"
    )
    return parser


def _read(arguments: Sequence[str]) -> tuple[list[object], list[str]]:
    """Return the documents of all files, and what is wrong with the files."""
    documents: list[object] = []
    problems: list[str] = []
    for argument in arguments:
        names = list(expand(argument))
        if not names:
            raise UsageError(f"{argument}: no *.yaml, *.yml or *.json files found")
        for name in names:
            shown = STDIN_NAME if name == STDIN else name
            try:
                nodes, broken = read_documents(shown, read(name))
            except UnreadableError as error:
                problems.append(f"{shown}: {error.message}")
                continue
            documents += [node.plain() for node in nodes]
            problems += [f"{problem.place}: {problem.message}" for problem in broken]
    return documents, problems


def _count(converted: Sequence[Converted], level: Effect) -> int:
    return sum(one.comments.count(level) for one in converted)


def _summary(converted: Sequence[Converted]) -> str:
    done = sum(one.complete for one in converted)
    if not converted:
        return "no objects of external-secrets.io found"
    found = [f"{_count(converted, lv)} {lv}" for lv in Effect if lv is not Effect.NOTE]
    return f"{done} of {len(converted)} objects converted; comments: {', '.join(found)}"
