"""The command ``secret-sync``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from secret_sync import __version__, logs
from secret_sync.errors import SecretSyncError
from secret_sync.settings import UsageError, parse_run_arguments

Command: TypeAlias = Callable[[Sequence[str]], int]

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
# What a shell reports for a process that SIGINT ended.
EXIT_INTERRUPTED: Final = 130

_HELP: Final = """\
usage: secret-sync COMMAND [arguments]

Keeps Kubernetes Secrets in sync with Alibaba Cloud KMS.

Commands:
  run         run the controller
  check       check manifests before they are applied
  convert     convert manifests of the External Secrets Operator
  crds        print the CRDs
  status      show which ExternalSecrets are in sync, and why the others are not
  diff        show what the controller would write, without writing
  release     before an uninstall: keep every Secret when its ExternalSecret is deleted
  local       run a playground on this machine: a Kubernetes API server and a local Alibaba Cloud
  version     print the version; also --version
  completion  print what a shell needs to complete commands and flags: bash, zsh or fish

Help for a command: secret-sync COMMAND --help

Exit codes: 0 success, 1 failure (one line on standard error), 2 usage error.
"""
_VERSION_HELP: Final = """\
usage: secret-sync version

Prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0, 1 for a failure, 2 for a usage error.

    A failure is one line on standard error. An unexpected one is described only by type and
    position, since its message may quote a value.

    Args:
        argv: The arguments after the program's name; default: the process's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name in {"", "-h", "--help", "help"}:
        sys.stdout.write(_HELP)
        return 0
    command = _version if name == "--version" else COMMANDS.get(name)
    if command is None:
        known = ", ".join(COMMANDS)
        return _fail(f"secret-sync: unknown command {name!r} (one of: {known})", EXIT_USAGE)
    try:
        return command(rest)
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - the interpreter would print its message
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
        return _fail(f"secret-sync {name}: {_explain(error)}", code)


def _explain(error: BaseException) -> str:
    """Return the message of our error, or of a task group of them; else a description."""
    ours = dict.fromkeys(_messages(error))
    return "; ".join(ours) if ours else f"unexpected {logs.describe_exception(error)}"


def _messages(error: BaseException) -> list[str]:
    """Return the messages of our errors, or nothing if there are other errors among them."""
    if isinstance(error, SecretSyncError):
        return [error.message]
    if isinstance(error, BaseExceptionGroup):
        parts = [_messages(member) for member in error.exceptions]
        return [message for part in parts for message in part] if all(parts) else []
    return []


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code


def _exit_code(stop: SystemExit) -> int:
    if isinstance(stop.code, int):
        return stop.code
    return 0 if stop.code is None else _fail(str(stop.code), EXIT_FAILURE)


# Each command imports its modules when it runs: they would add to the controller's memory, and the
# playground is an optional extra.


def _run(argv: Sequence[str]) -> int:
    settings = parse_run_arguments(argv, os.environ)
    logs.write_in_background()
    logs.configure(settings.log_level, settings.log_format)
    from secret_sync import app  # noqa: PLC0415 - see above

    return app.main(settings)


def _check(argv: Sequence[str]) -> int:
    from secret_sync.cli import check  # noqa: PLC0415 - see above

    return check.main(argv, os.environ)


def _convert(argv: Sequence[str]) -> int:
    from secret_sync.cli import convert  # noqa: PLC0415 - see above

    return convert.main(argv)


def _crds(argv: Sequence[str]) -> int:
    from secret_sync.cli import crds  # noqa: PLC0415 - see above

    return crds.main(argv)


def _status(argv: Sequence[str]) -> int:
    from secret_sync.cli import status  # noqa: PLC0415 - see above

    return status.main(argv, os.environ)


def _diff(argv: Sequence[str]) -> int:
    from secret_sync.cli import diff  # noqa: PLC0415 - see above

    return diff.main(argv, os.environ)


def _release(argv: Sequence[str]) -> int:
    from secret_sync.cli import release  # noqa: PLC0415 - see above

    return release.main(argv, os.environ)


def _local(argv: Sequence[str]) -> int:
    try:
        from secret_sync.local import cli  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("secret_sync"):
            raise
        raise SecretSyncError(
            f"the playground needs the package {error.name}: pip install 'secret-sync[local]'"
        ) from None
    return cli.main(argv)


def _completion(argv: Sequence[str]) -> int:
    from secret_sync.cli import completion  # noqa: PLC0415 - see above

    return completion.main(argv, COMMANDS)


def _version(argv: Sequence[str]) -> int:
    if list(argv) in (["-h"], ["--help"]):
        sys.stdout.write(_VERSION_HELP)
        return 0
    if argv:
        raise UsageError("it takes no arguments")
    sys.stdout.write(f"secret-sync {__version__}\n")
    return 0


COMMANDS: Final[dict[str, Command]] = {
    "check": _check,
    "convert": _convert,
    "crds": _crds,
    "run": _run,
    "status": _status,
    "diff": _diff,
    "release": _release,
    "local": _local,
    "version": _version,
    "completion": _completion,
}
