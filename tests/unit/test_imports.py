"""What `secret-sync run` imports: at its start nothing that it does not use; all of it exists."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import secret_sync

PACKAGE = Path(secret_sync.__file__).parent
#: What reads one.
KUBECONFIG = "secret_sync.kube.kubeconfig.yaml_file"
#: Each takes milliseconds and memory that no cluster needs, or not before a certain object.
UNUSED = (
    "alibabacloud_credentials",
    "alibabacloud_gateway_pop",
    "alibabacloud_gateway_spi",
    "alibabacloud_tea_openapi.client",
    "apscheduler",
    "bcrypt",
    "charset_normalizer",
    "concurrent.futures.process",
    "cryptography",
    "darabonba.core",
    "http.server",
    "importlib.metadata",
    "kubernetes_asyncio.client",
    "multiprocessing",
    "prometheus_client.exposition",
    "re2",
    "requests",
    "rich",
    "ruamel",
    "secret_sync.cli.check",
    "secret_sync.cli.convert",
    "secret_sync.cli.crds",
    "secret_sync.cli.completion",
    "secret_sync.cli.diff",
    "secret_sync.cli.release",
    "secret_sync.cli.status",
    KUBECONFIG,
    "secret_sync.local",
    "secret_sync.parse.yaml_document",
    "secret_sync.refresh",
    "secret_sync.sources.pushed",
    "secret_sync.templates",
    "six",
    "Tea.core",
    "urllib3",
    "websocket",
    "wsgiref",
    "xml",
    "yaml",
)
#: Modules of others. Measured with CPython 3.11: 403; it was 850 with all that comes with them.
MOST = 440
START = """
import json, sys
from secret_sync.cli import entry
from secret_sync import app
print(json.dumps(sorted(sys.modules)))
"""


def belongs(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.slow
def test_start_of_the_controller_imports_nothing_that_it_does_not_use() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", START], check=True, capture_output=True, timeout=60
    )
    names = json.loads(done.stdout)
    assert [n for n in names if any(belongs(n, package) for package in UNUSED)] == []
    foreign = [name for name in names if not belongs(name, "secret_sync")]
    assert len(foreign) <= MOST, "see what is new with `python -X importtime`"


CERTIFICATES = """
import ssl
loaded = []
ssl.SSLContext.set_default_verify_paths = lambda context: loaded.append(context)
import secret_sync.app
assert not loaded, loaded
ssl.create_default_context()
assert loaded
"""


@pytest.mark.slow
def test_start_of_the_controller_loads_no_certificates_for_contexts_that_nobody_uses() -> None:
    subprocess.run([sys.executable, "-c", CERTIFICATES], check=True, timeout=60)  # noqa: S603


def imported_late() -> set[tuple[str, str]]:
    """The modules, with the names taken from them, that functions of the controller import."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == "local":
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                match node:
                    case ast.Import(names=names):
                        found |= {(name.name, "") for name in names}
                    case ast.ImportFrom(module=str(module), names=names):
                        found |= {(module, name.name) for name in names}
    return found


def test_all_that_is_imported_late_is_there() -> None:
    late = imported_late()
    assert {("re2", ""), ("ruamel.yaml.error", "YAMLError")} <= late
    for module, name in late:
        if module.startswith("secret_sync.local"):
            continue
        found = import_module(module)
        if name and not hasattr(found, name):
            import_module(f"{module}.{name}")
    assert callable(import_module("prometheus_client.exposition").choose_encoder)
