"""`secret-sync completion`: commands, and the flags that their help names."""

from __future__ import annotations

import subprocess

import pytest

from secret_sync import cli
from secret_sync.cli.entry import COMMANDS

pytestmark = pytest.mark.slow


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def completed(text: str, *words: str) -> list[str]:
    """What bash completes the last of these words to."""
    line = " ".join(f"'{word}'" for word in words)
    program = (
        f"{text}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _secret_sync;"
        " printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(  # noqa: S603 (our own words)
        ["/usr/bin/env", "bash", "--norc", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.split()


def test_bash_completes_commands_and_their_flags(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    assert completed(text, "secret-sync", "") == list(COMMANDS)
    assert completed(text, "secret-sync", "di") == ["diff"]
    assert completed(text, "secret-sync", "run", "--dry") == ["--dry-run"]
    assert completed(text, "secret-sync", "status", "--con") == ["--context"]
    # Flags of others that a help tells of are not its own.
    assert completed(text, "secret-sync", "status", "--poll") == []
    assert completed(text, "secret-sync", "diff", "--poll") == ["--polling-interval"]
    assert completed(text, "secret-sync", "diff", "--dry") == []


def test_zsh_runs_the_script_of_bash(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("zsh", capsys)
    assert text.startswith("autoload -U +X compinit")
    assert text.endswith(script("bash", capsys))


def test_fish_has_a_line_for_each_flag(capsys: pytest.CaptureFixture[str]) -> None:
    lines = script("fish", capsys).splitlines()
    assert 'complete -c secret-sync -n "__fish_seen_subcommand_from run" -l dry-run' in lines
    assert all(name in lines[0] for name in COMMANDS)
