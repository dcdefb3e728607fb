"""Write a manifest as YAML, with comments above its fields."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import yaml

from secret_sync.cli.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from secret_sync.resources.meta import FieldPath

#: Columns of a comment, its indentation included.
_WIDTH: Final = 100
_NEVER_FOLD: Final = 1_000_000


def document(manifest: Mapping[str, Any], comments: Mapping[FieldPath, list[str]]) -> str:
    """Return the text of a document.

    Args:
        manifest: Mappings, lists, strings, numbers and booleans.
        comments: Lines by the field above which they are written; all these fields exist.
    """
    lines = [*comment_lines(comments.get((), ()), ""), *_mapping(manifest, comments, (), "")]
    return "".join(f"{line}\n" for line in lines)


def comment_lines(lines: Iterable[str], indent: str = "") -> Iterator[str]:
    """Yield comments, broken into lines that are not too long."""
    for line in lines:
        yield from textwrap.wrap(
            plain(line),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _mapping(
    value: Mapping[str, Any],
    comments: Mapping[FieldPath, list[str]],
    path: FieldPath,
    indent: str,
) -> Iterator[str]:
    for key, item in value.items():
        here = (*path, key)
        yield from comment_lines(comments.get(here, ()), indent)
        yield from _entry(f"{indent}{_scalar(key)}:", item, comments, here, indent)


def _entry(
    head: str, item: Any, comments: Mapping[FieldPath, list[str]], path: FieldPath, indent: str
) -> Iterator[str]:
    if isinstance(item, dict) and item:
        yield head
        yield from _mapping(item, comments, path, f"{indent}  ")
    elif isinstance(item, list) and item:
        yield head
        yield from _sequence(item, comments, path, f"{indent}  ")
    else:
        first, *rest = _scalar(item).split("\n")
        yield f"{head} {first}"
        # What is empty in a block stays empty.
        yield from (f"{indent}{line}" if line else "" for line in rest)


def _sequence(
    value: list[Any], comments: Mapping[FieldPath, list[str]], path: FieldPath, indent: str
) -> Iterator[str]:
    for number, item in enumerate(value):
        here = (*path, number)
        yield from comment_lines(comments.get(here, ()), indent)
        if not isinstance(item, dict) or not item:
            yield from _entry(f"{indent}-", item, comments, here, indent)
            continue
        # A comment on the first key cannot be between the dash and the key.
        yield from comment_lines(comments.get((*here, next(iter(item))), ()), indent)
        rest = {at: lines for at, lines in comments.items() if at != (*here, next(iter(item)))}
        first, *others = _mapping(item, rest, here, f"{indent}  ")
        yield f"{indent}- {first.removeprefix(f'{indent}  ')}"
        yield from others


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as they are."""


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if value.splitlines() not in ([], [value]):
        # A block that keeps its last lines would have to be ended by "...", and others break lines.
        lines = value.removesuffix("\n").split("\n")
        style = "|" if value.splitlines() == lines and lines[-1].strip() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)


def _scalar(value: Any) -> str:
    """Return a value without children; further lines are indented as below the root."""
    text = yaml.dump({"k": value}, Dumper=_Dumper, width=_NEVER_FOLD, allow_unicode=True)
    return text.removeprefix("k: ").removesuffix("\n")
