"""Several kubeconfigs as one: kubectl's rules of merging."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secret_sync.errors import DefiniteError
from secret_sync.kube.kubeconfig.fields import Fields, quoted, read_file

#: Where it is by default.
HOME_CONFIG: Final = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Context:
    """The context in use, its cluster and its user, each from the first file that has it."""

    name: str
    namespace: str
    cluster_name: str
    cluster: Fields
    user_name: str
    user: Fields | None


def read_context(paths: str, name: str = "") -> Context:
    """Read the files and find the context; this blocks.

    Of several files the first ``current-context`` counts, and the first entry of each name.

    Args:
        paths: One path, or several joined as in the variable ``KUBECONFIG``.
        name: Of the context; ``""`` for the current one.

    Raises:
        DefiniteError: One sentence that begins with the file or the field, and shows no value.
    """
    files = _read_files(paths)
    try:
        return _find(files, name)
    except _MissingError as error:
        raise DefiniteError(f"{error} (kubeconfig {quoted(paths)})") from None


def _find(files: list[Fields], name: str) -> Context:
    name = name or next(filter(None, (file.text("current-context") for file in files)), "")
    if not name:
        raise _MissingError(
            "current-context: missing; name one with 'kubectl config use-context NAME'"
        )
    found = _entry(files, "contexts", name, "current-context")
    cluster_name, user_name = found.text("cluster"), found.text("user")
    if not cluster_name:
        found.refuse("cluster", "missing")
    return Context(
        name,
        found.text("namespace"),
        cluster_name,
        _entry(files, "clusters", cluster_name, f"{found.place}.cluster"),
        user_name,
        _entry(files, "users", user_name, f"{found.place}.user") if user_name else None,
    )


def _entry(files: list[Fields], section: str, name: str, where: str) -> Fields:
    for file in files:
        for entry in file.maps(section):
            if entry.text("name") == name:
                kind = section.removesuffix("s")
                place = f"{section}[{quoted(name)}].{kind}"
                return Fields(entry.raw(kind), place, file.file)
    raise _MissingError(f"{where}: no entry of {section} has the name {quoted(name)}")


def _read_files(paths: str) -> list[Fields]:
    found = []
    for path in dict.fromkeys(filter(None, paths.split(os.pathsep))):
        file = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 (links stay)
        try:
            content = read_file(str(file))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "this is not a path"
            raise DefiniteError(f"kubeconfig {quoted(path)}: cannot be read ({why})") from None
        found.append(_checked(content, file))
    if not found:
        raise DefiniteError(
            f"kubeconfig {quoted(paths)}: no such file; set KUBECONFIG or --kubeconfig"
        )
    return found


def _checked(content: bytes, file: Path) -> Fields:
    # 2 MiB that no pod needs.
    from secret_sync.kube.kubeconfig.yaml_file import YAMLFileError, load_yaml  # noqa: PLC0415

    empty = Fields({}, "", file)
    try:
        value = load_yaml(content)
    except YAMLFileError as error:
        empty.refuse("", str(error))
    if value is None:
        return empty
    read = Fields(value, "", file)
    for name, expected in (("apiVersion", "v1"), ("kind", "Config")):
        if read.text(name) not in {"", expected}:
            read.refuse(name, f"expected {expected}; this is not a kubeconfig")
    for section in ("clusters", "contexts", "users"):
        _check_names(read, section)
    return read


def _check_names(file: Fields, section: str) -> None:
    seen: set[str] = set()
    for entry in file.maps(section):
        name = entry.text("name")
        if name in seen:
            file.refuse(section, f"two entries have the name {quoted(name)}; remove one of them")
        seen.add(name)


class _MissingError(Exception):
    """Return the error for an entry that is in none of the files."""
