"""``secret-sync completion``: what a shell needs to complete commands and flags.

The flags of a command are those that its help names, so that there is no second list of them.
"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Final

from secret_sync.cli.arguments import Parser
from secret_sync.cli.terminal import say
from secret_sync.settings import add_flags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DESCRIPTION: Final = """\
Prints a script that completes commands and flags.

  bash   source <(secret-sync completion bash)
  zsh    source <(secret-sync completion zsh)
  fish   secret-sync completion fish | source"""
#: A flag of its own, not one that the text is about.
_FLAG: Final = re.compile(r"^  (?:-\w\b[^,\n]*, )?(--[a-z][a-z-]*)", re.MULTILINE)

_BASH: Final = """\
_secret_sync() {{
    local words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _secret_sync secret-sync
"""
_BASH_CASE: Final = """\
            {name}) words="{flags}" ;;"""
#: zsh runs the functions of bash.
_ZSH: Final = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
_FISH_COMMANDS: Final = 'complete -c secret-sync -n "__fish_use_subcommand" -f -a "{commands}"\n'
_FISH_FLAG: Final = 'complete -c secret-sync -n "__fish_seen_subcommand_from {name}" -l {flag}\n'


def main(argv: Sequence[str], commands: Mapping[str, Callable[[Sequence[str]], int]]) -> int:
    """Run the command; return the exit code.

    Args:
        argv: The arguments after ``completion``.
        commands: All commands, by name.
    """
    parser = Parser("completion", _DESCRIPTION)
    parser.add_argument("shell", metavar="SHELL", choices=["bash", "zsh", "fish"])
    shell = parser.parse_args(list(argv)).shell
    flags = {name: _flags(name, command) for name, command in commands.items()}
    say(_fish(flags) if shell == "fish" else (_ZSH if shell == "zsh" else "") + _bash(flags))
    return 0


def _flags(name: str, command: Callable[[Sequence[str]], int]) -> list[str]:
    """Return the flags of a command."""
    output = io.StringIO()
    # A command that misses a package has no help.
    with redirect_stdout(output), suppress(SystemExit, Exception):
        command(["--help"])
    found = {"--help", *_FLAG.findall(output.getvalue())}
    if name == "diff":
        from secret_sync.cli.diff.command import WITHOUT  # noqa: PLC0415 (it is the controller)

        found |= {f"--{flag}" for flag in add_flags(Parser(name, ""), without=WITHOUT)}
    return sorted(found)


def _bash(flags: Mapping[str, Sequence[str]]) -> str:
    cases = [_BASH_CASE.format(name=name, flags=" ".join(of_one)) for name, of_one in flags.items()]
    return _BASH.format(commands=" ".join(flags), cases="\n".join(cases))


def _fish(flags: Mapping[str, Sequence[str]]) -> str:
    lines = [_FISH_COMMANDS.format(commands=" ".join(flags))]
    for name, of_one in flags.items():
        lines += [_FISH_FLAG.format(name=name, flag=flag.removeprefix("--")) for flag in of_one]
    return "".join(lines)
