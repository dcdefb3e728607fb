"""Extract keys and values from bytes: pure functions without Kubernetes or Alibaba Cloud."""

from secret_sync.parse.budget import MAX_KEYS, BudgetExceededError, ObjectBudget
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
from secret_sync.parse.document import read_document
from secret_sync.parse.expressions import Expressions
from secret_sync.parse.extraction import (
    QUICK_BYTES,
    ExtractionSpec,
    Rule,
    Selection,
    check_spec,
    check_spec_steps,
    extract,
    extract_steps,
    is_quick,
    is_quickly_checked,
)
from secret_sync.parse.keys import check_data
from secret_sync.parse.paths import constant_hint
from secret_sync.parse.stepwise import Steps, run_to_end

__all__ = [
    "DUPLICATE_KEY",
    "INVALID_JMESPATH",
    "INVALID_KEY",
    "INVALID_REGEX",
    "KEY_COLLISION",
    "MAX_KEYS",
    "NOT_A_DOCUMENT",
    "PATH_NOT_FOUND",
    "QUICK_BYTES",
    "TOO_COSTLY",
    "TOO_LARGE",
    "BudgetExceededError",
    "Expressions",
    "ExtractionSpec",
    "ObjectBudget",
    "Rule",
    "Selection",
    "Steps",
    "check_data",
    "check_spec",
    "check_spec_steps",
    "constant_hint",
    "extract",
    "extract_steps",
    "is_quick",
    "is_quickly_checked",
    "read_document",
    "run_to_end",
]
