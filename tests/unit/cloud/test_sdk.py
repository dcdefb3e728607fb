"""How little of the SDK is imported; each question in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PREAMBLE = """
import json, logging, sys
from secret_sync.cloud.sdk import import_client
def models():
    return sum(name.startswith("alibabacloud_kms20160120.models._") for name in sys.modules)
"""
LEAN = 'client = import_client("alibabacloud_kms20160120", ["get_secret_value_request"])\n'


def run(code: str) -> Any:
    result = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-W", "error", "-c", PREAMBLE + code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(result.stdout)


def test_only_the_models_asked_for_are_imported() -> None:
    assert run(LEAN + "print(json.dumps(models()))") == 1


def test_another_model_is_imported_when_it_is_asked_for() -> None:
    code = (
        LEAN
        + """
before = client.main_models.GetSecretValueRequest
other = client.main_models.EncryptRequest.__name__
same = client.main_models.GetSecretValueRequest is before
try:
    client.main_models.NoSuchModel
    missing = False
except AttributeError:
    missing = True
print(json.dumps([other, same, missing, models() > 100]))
"""
    )
    assert run(code) == ["EncryptRequest", True, True, True]


def test_package_that_was_imported_whole_is_left_alone() -> None:
    code = f"import alibabacloud_kms20160120.models as whole\n{LEAN}"
    assert run(code + "print(json.dumps(client.main_models is whole))") is True


@pytest.mark.parametrize(
    "arguments", ['"alibabacloud_none", []', '"alibabacloud_kms20160120", ["none"]']
)
def test_changed_layout_is_noticed_at_import(arguments: str) -> None:
    code = f"""
try:
    import_client({arguments})
    print("null")
except ImportError:
    print('"noticed"')
"""
    assert run(code) == "noticed"


def test_no_handler_of_the_sdk_is_left_on_any_logger() -> None:
    code = (
        LEAN
        + """
names = ["alibabacloud-tea", "darabonba-core", "credentials"]
loggers = {name: logging.getLogger(name) for name in logging.Logger.manager.loggerDict}
print(json.dumps({
    "known": [name for name in names if name in loggers],
    "handlers": [n for n, l in loggers.items()
                 if any(type(h) is not logging.NullHandler for h in l.handlers)],
    "levels": [loggers[name].level for name in names],
    "propagate": [loggers[name].propagate for name in names],
}))
"""
    )
    assert run(code) == {
        "known": ["alibabacloud-tea", "darabonba-core", "credentials"],
        "handlers": [],
        "levels": [0, 0, 0],
        "propagate": [True, True, True],
    }
