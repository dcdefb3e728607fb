from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import secret_sync
from secret_sync import cli, logs
from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secret_sync.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a module with a `main` in the place of one that a command imports."""

    def install(name: str, main: Callable[..., int]) -> None:
        module = ModuleType(f"secret_sync.{name}")
        module.main = main  # type: ignore[attr-defined]  # made for the test
        package, _, leaf = module.__name__.rpartition(".")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(sys.modules[package], leaf, module, raising=False)

    return install


@pytest.fixture(autouse=True)
def no_logging_setup(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What `run` asks of the logs; carried out it would outlive the test."""
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(logs, "configure", lambda level, form: asked.append((level, form)))
    monkeypatch.setattr(logs, "write_in_background", lambda: None)
    return asked


@pytest.fixture(autouse=True)
def _same_signals() -> Iterator[None]:
    """What `run` does about SIGTERM would outlive the test as well."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_version(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([argument]) == 0
    assert capsys.readouterr().out == f"secret-sync {secret_sync.__version__}\n"


def test_program_has_the_name_of_a_plugin_of_kubectl_too() -> None:
    done = subprocess.run(  # noqa: S603 (our own program)
        [Path(sys.executable).with_name("kubectl-secret_sync"), "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"secret-sync {secret_sync.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in ("run", "status", "release", "local", "version"))


@pytest.mark.parametrize(
    "name", ["run", "status", "diff", "release", "local", "version", "completion"]
)
def test_every_command_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: secret-sync {name}")


def test_help_of_run_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help"]) == 0
    assert "--polling-interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ruin"], ["unknown command 'ruin'", "run, status, diff, release, local, version"]),
        (["run", "--polling-interval=3"], ["secret-sync run: --polling-interval", "'3'"]),
        (["version", "x"], ["secret-sync version:"]),
        (["status", "--wtach"], ["secret-sync status: ", "--wtach", "status --help"]),
        (["status", "-o", "yaml"], ["secret-sync status: ", "'yaml'", "'json'"]),
        (["status", "-A", "-n", "x"], ["secret-sync status: ", "-A"]),
        (["status", "--watch", "-o", "json"], ["secret-sync status: --watch"]),
        (["status", "--watch", "--exit-code"], ["secret-sync status: --watch"]),
        (["status", "some", "-A"], ["secret-sync status: NAME", "-A"]),
        (["diff", "some", "-A"], ["secret-sync diff: NAME", "-A"]),
        (["diff", "--timeout", "3"], ["secret-sync diff: --timeout", "'3'"]),
        (["diff", "--polling-interval=3"], ["secret-sync diff: --polling-interval", "'3'"]),
        (["completion"], ["secret-sync completion:", "SHELL"]),
        (["release"], ["secret-sync release: confirm with --keep-secrets", "none is deleted"]),
        (["release", "--dry-run"], ["secret-sync release: confirm with --keep-secrets"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


def test_run_hands_the_settings_to_the_app(
    install: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    no_logging_setup: list[tuple[str, str]],
) -> None:
    seen: list[Settings] = []

    def main(settings: Settings) -> int:
        seen.append(settings)
        return 7

    install("app", main)
    monkeypatch.setenv("SECRET_SYNC_LOG_LEVEL", "debug")
    assert cli.main(["run", "--reconcile-count=3"]) == 7
    assert (seen[0].reconcile_count, seen[0].log_level) == (3, "debug")
    assert no_logging_setup == [("debug", "auto")]


def test_local_gets_its_arguments(install: Callable[..., None]) -> None:
    seen: list[list[str]] = []

    def main(argv: list[str]) -> int:
        seen.append(argv)
        return 0

    install("local.cli", main)
    assert cli.main(["local", "secret", "put", "a", "b"]) == 0
    assert seen == [["secret", "put", "a", "b"]]


@pytest.mark.parametrize(
    "error",
    [
        DefiniteError("the CRDs are missing: kubectl apply -k crds"),
        ExceptionGroup("app", [DefiniteError("the CRDs are missing: kubectl apply -k crds")]),
    ],
)
def test_a_failure_of_ours_is_one_clear_line(
    error: Exception, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_settings: Settings) -> int:
        raise error

    install("app", main)
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == (
        "secret-sync run: the CRDs are missing: kubectl apply -k crds\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("s3cret"),
        ExceptionGroup("s3cret", [TransientError("a"), ValueError("s3cret")]),
    ],
)
def test_an_unforeseen_failure_shows_type_and_place_but_no_message(
    error: Exception, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_settings: Settings) -> int:
        raise error

    install("app", main)
    assert cli.main(["run"]) == 1
    err = capsys.readouterr().err
    assert "ValueError" in err
    assert "unit/test_cli.py" in err
    assert "s3cret" not in err


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (KeyboardInterrupt(), 130),
        (SystemExit(), 0),
        (SystemExit(3), 3),
        (SystemExit("sorry"), 1),
    ],
)
def test_being_stopped_is_an_exit_code(
    stop: BaseException, code: int, install: Callable[..., None]
) -> None:
    def main(_settings: Settings) -> int:
        raise stop

    install("app", main)
    assert cli.main(["run"]) == code


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "secret_sync.local.cli":
                raise ModuleNotFoundError("No module named 'cryptography'", name="cryptography")

    monkeypatch.delitem(sys.modules, "secret_sync.local.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    if "secret_sync.local" in sys.modules:
        monkeypatch.delattr(sys.modules["secret_sync.local"], "cli", raising=False)
    assert cli.main(["local", "up"]) == 1
    assert "cryptography" in (err := capsys.readouterr().err)
    assert "secret-sync[local]" in err


def test_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "secret_sync", "run", "--nonsense"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "secret-sync run: unknown flag '--nonsense' (see secret-sync run --help)\n"
    )


def test_the_help_imports_neither_the_controller_nor_the_playground() -> None:
    """Their memory and their extras are for those who use them."""
    program = (
        "import sys; from secret_sync.cli import main; code = main(['run', '--help']); "
        "sys.exit(code or [name for name in sys.modules "
        "if name.startswith(('secret_sync.app', 'secret_sync.local', 'aiohttp')) "
        "or name.startswith('secret_sync.cli.') and name != 'secret_sync.cli.entry'] or 0)"
    )
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


#: Ends the process by SIGTERM at the moment a module is about to be imported.
STOPPED_AT = """
import os, signal, sys

class Finder:
    def find_spec(name, path, target=None):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder)
from secret_sync.cli import main
sys.exit(main(["run"]))
"""


@pytest.mark.parametrize(
    "module", ["secret_sync.cli.entry", "secret_sync.settings", "secret_sync.app", "uvloop"]
)
def test_controller_stopped_before_its_start_ends_cleanly(module: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", STOPPED_AT, module],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
