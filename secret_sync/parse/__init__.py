"""From bytes to keys and values; pure functions that know neither Kubernetes nor Alibaba."""

from secret_sync.parse.codes import (
    DUPLICATE_KEY,
    INVALID_JMESPATH,
    INVALID_KEY,
    INVALID_REGEX,
    KEY_COLLISION,
    NOT_A_DOCUMENT,
    PATH_NOT_FOUND,
    TOO_COSTLY,
    TOO_LARGE,
)
from secret_sync.parse.keys import check_data
from secret_sync.parse.recipe import (
    QUICK_BYTES,
    Recipe,
    Rule,
    Selection,
    check_recipe,
    cook,
    is_quick,
)
from secret_sync.parse.yaml_document import check_yaml_parser

__all__ = [
    "DUPLICATE_KEY",
    "INVALID_JMESPATH",
    "INVALID_KEY",
    "INVALID_REGEX",
    "KEY_COLLISION",
    "NOT_A_DOCUMENT",
    "PATH_NOT_FOUND",
    "QUICK_BYTES",
    "TOO_COSTLY",
    "TOO_LARGE",
    "Recipe",
    "Rule",
    "Selection",
    "check_data",
    "check_recipe",
    "check_yaml_parser",
    "cook",
    "is_quick",
]
