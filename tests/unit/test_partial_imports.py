"""Parts of packages alone, and the rest when it is used; each question in its own interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PREAMBLE = """
import json, logging, sys
from secret_sync.partial_imports import absent, deferred, without_init
def models():
    return sum(name.startswith("alibabacloud_kms20160120.models._") for name in sys.modules)
"""
LEAN = """
with without_init("alibabacloud_kms20160120.models"):
    from alibabacloud_kms20160120.models._get_secret_value_request import GetSecretValueRequest
"""


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
import alibabacloud_kms20160120.models as package
before = package.GetSecretValueRequest
other = package.EncryptRequest.__name__
same = package.GetSecretValueRequest is before is GetSecretValueRequest
try:
    package.NoSuchModel
    missing = False
except AttributeError:
    missing = True
print(json.dumps([other, same, missing, models() > 100]))
"""
    )
    assert run(code) == ["EncryptRequest", True, True, True]


def test_package_that_was_imported_whole_is_left_alone() -> None:
    code = f"import alibabacloud_kms20160120.models as whole\n{LEAN}"
    assert run(code + "print(json.dumps(whole is sys.modules[whole.__name__]))") is True


@pytest.mark.parametrize("package", ["alibabacloud_none", "alibabacloud_kms20160120.none"])
def test_package_that_is_gone_is_noticed_at_import(package: str) -> None:
    code = f"""
try:
    with without_init("{package}"):
        pass
    print("null")
except ImportError:
    print('"noticed"')
"""
    assert run(code) == "noticed"


def test_name_of_a_deferred_module_is_imported_when_it_is_used() -> None:
    code = """
with deferred("fractions"):
    from fractions import Fraction
before = "fractions" in sys.modules
half = str(Fraction(2, 4))
print(json.dumps([before, half, Fraction.from_float(0.5) == 0.5, "fractions" in sys.modules]))
"""
    assert run(code) == [False, "1/2", True, True]


def test_absent_package_can_be_imported_afterwards() -> None:
    code = """
with absent("fractions"):
    try:
        import fractions
        found = True
    except ImportError:
        found = False
import fractions
print(json.dumps([found, str(fractions.Fraction(2, 4))]))
"""
    assert run(code) == [False, "1/2"]


def test_functions_of_the_sdk_that_are_not_used_still_work() -> None:
    code = """
from secret_sync.cloud.sdk import Utils
lean = "requests" in sys.modules
print(json.dumps([lean, Utils.to_form({"a": ["b"]}), "requests" in sys.modules]))
"""
    assert run(code) == [False, "a.1=b", True]


def test_no_handler_of_the_sdk_is_on_any_logger() -> None:
    code = """
import secret_sync.credentials, secret_sync.providers.kms, secret_sync.providers.oos
loggers = {name: logging.getLogger(name) for name in logging.Logger.manager.loggerDict}
print(json.dumps([n for n, l in loggers.items()
                  if any(type(h) is not logging.NullHandler for h in l.handlers)]))
"""
    assert run(code) == []
