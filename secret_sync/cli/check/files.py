"""Find and read the files that the command line names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from secret_sync.errors import SecretSyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN: Final = "-"
STDIN_NAME: Final = "<stdin>"
#: Bytes of one file. An object has at most 1.5 MiB in a cluster.
MAX_BYTES: Final = 4 * 1024 * 1024
_ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})


class UnreadableError(SecretSyncError):
    """A file cannot be read."""


def expand(name: str) -> Iterator[str]:
    """Yield the file that an argument names, or the files below a directory, sorted.

    Hidden files are omitted.
    """
    path = Path(name)
    if name == STDIN or not path.is_dir():
        yield name
        return
    for child in sorted(path.iterdir()):
        if child.name.startswith("."):
            continue
        if child.is_dir() and not child.is_symlink():
            yield from expand(str(child))
        elif child.suffix in _ENDINGS:
            yield str(child)


def read(name: str) -> bytes:
    """Return the content of a file, or of standard input.

    Raises:
        UnreadableError: It does not exist, cannot be read, or is too large.
    """
    try:
        if name == STDIN:
            data = _bounded(sys.stdin.buffer)
        else:
            with Path(name).open("rb") as file:
                data = _bounded(file)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or 'no reason given'}") from None
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"has more than {MAX_BYTES} bytes; split it")
    return data


def _bounded(file: BinaryIO) -> bytes:
    return file.read(MAX_BYTES + 1)
