"""The YAML of a kubeconfig; imported only where there is one."""

from __future__ import annotations

from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError

#: Lists and maps within each other; the C parser's stack ends at some ten thousand.
MAX_LEVELS: Final = 50


class YAMLFileError(Exception):
    """A file is not YAML; the message names the place and shows no content."""


class _Constructor(SafeConstructor):
    """Read dates as strings, as kubectl does."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def load_yaml(content: bytes) -> Any:
    """Return the only document of a file.

    Raises:
        YAMLFileError: It is not YAML, or not one document.
    """
    parser = YAML(typ="safe")
    parser.Constructor = _Constructor
    try:
        _check_shape(parser, content)
        return parser.load(content)
    except YAMLFileError:
        raise
    except DuplicateKeyError as error:
        failure = f"a field is there twice{_place(error)}"
    except MarkedYAMLError as error:
        failure = f"this is not YAML{_place(error)}"
    except Exception:  # noqa: BLE001 (the library raises anything, and quotes what it read)
        failure = "this is not YAML"
    raise YAMLFileError(failure)


def _check_shape(parser: YAML, content: bytes) -> None:
    level = documents = 0
    for event in parser.parse(content):
        kind = type(event).__name__
        documents += kind == "DocumentStartEvent"
        level += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if level > MAX_LEVELS:
            raise YAMLFileError(f"more than {MAX_LEVELS} lists and maps within each other")
    if documents > 1:
        raise YAMLFileError("two documents; put them in files of their own")


def _place(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
