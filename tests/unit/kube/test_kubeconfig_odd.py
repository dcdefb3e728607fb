"""Whatever a kubeconfig holds, it is used or refused in one sentence that shows no value."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from secret_sync.errors import DefiniteError
from secret_sync.kube import current_namespace
from secret_sync.kube.kubeconfig import read_connection
from secret_sync.kube.kubeconfig.read import CLUSTER_FIELDS, EXEC_FIELDS, USER_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HIDDEN: Final = "hidden-value"
#: Every field of which anything is read.
WHOLE: Final = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "x",
    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "n"}}],
    "clusters": [
        {
            "name": "x",
            "cluster": {
                "server": "https://api.test",
                "tls-server-name": "inside.test",
                "insecure-skip-tls-verify": True,
                "certificate-authority": "",
                "certificate-authority-data": "",
                "proxy-url": f"http://me:{HIDDEN}@proxy.test",
                "disable-compression": True,
                "extensions": [
                    {"name": "client.authentication.k8s.io/exec", "extension": {"a": [1]}}
                ],
                "api-version": "v1",
            },
        }
    ],
    "users": [
        {
            "name": "x",
            "user": {
                "client-certificate": "",
                "client-certificate-data": "",
                "client-key": "",
                "client-key-data": "",
                "token": "",
                "tokenFile": "",
                "username": "",
                "password": "",
                "auth-provider": None,
                "as": "bob",
                "as-uid": "1",
                "as-groups": ["ops"],
                "as-user-extra": {"scope": ["a"]},
                "extensions": [],
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": "./issue",
                    "args": [HIDDEN],
                    "env": [{"name": "A", "value": HIDDEN}],
                    "installHint": "buy it",
                    "provideClusterInfo": True,
                    "interactiveMode": "Never",
                },
            },
        }
    ],
}


def test_sample_kubeconfig_has_every_field() -> None:
    cluster, user = WHOLE["clusters"][0]["cluster"], WHOLE["users"][0]["user"]  # type: ignore[index]
    assert set(cluster) == CLUSTER_FIELDS
    assert set(user) == USER_FIELDS
    assert set(user["exec"]) == EXEC_FIELDS


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def replaced(path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    whole = copy.deepcopy(WHOLE)
    inner: Any = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return whole


def read(content: bytes, folder: Path, *, hidden: str = HIDDEN) -> None:
    """It is read, or refused properly."""
    path = folder / "config"
    path.write_bytes(content)
    for reading in (read_connection, current_namespace):
        try:
            reading(str(path))
        except DefiniteError as error:
            message = error.message
        else:
            continue
        assert message.isprintable()
        assert len(message) < 600
        assert hidden not in message
        assert str(path) in message
        message.encode()


ODD: Final[list[Any]] = [
    None,
    True,
    7,
    -0.5,
    10**400,
    "",
    "x",
    f"{HIDDEN}\n\x1b[31m",
    "ü" * 300,
    "http://[",
    "https://me:hidden-value@x:99999/?q#f",
    "/dev/null",
    "/",
    "\u2028\ufeff",
    [],
    [HIDDEN],
    [[]],
    [None],
    [{"name": "twice"}, {"name": "twice"}],
    {},
    {"a\nkey\x1b": HIDDEN},
    {"key": HIDDEN},
    {"name": None},
    {"": []},
]


#: What a message may show: one has to know what was looked for.
NAMES: Final = {("current-context",), ("cluster",), ("user",), ("name",)}


@pytest.mark.parametrize("path", places(WHOLE), ids=lambda path: ".".join(map(str, path)))
def test_each_field_with_anything_in_it(path: tuple[Any, ...], tmp_path: Path) -> None:
    for odd in ODD:
        content = json.dumps(replaced(path, odd), ensure_ascii=False).encode()
        hidden = "none of it" if path[-1:] in NAMES else HIDDEN
        read(content, tmp_path, hidden=hidden)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200), data=st.data())
def test_bytes_out_of_place(noise: bytes, data: st.DataObject, tmp_path: Path) -> None:
    whole = orjson.dumps(WHOLE)
    at = data.draw(st.integers(0, len(whole)))
    for content in (noise, whole[:at], whole[:at] + noise + whole[at:], whole[at:]):
        read(content, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [*a]",
        b"users: &a [*a]",
        b"a: " + b"9" * 100_000,
        b"a: !!python/object/apply:os.system [true]",
        b"a: !!binary ====",
        b"? [a, b]\n: 1",
        b"? {a: b}\n: 1",
        b"!!set {a, b}",
        b"- " * 60_000,
        b"%YAML 9.9\n---\na: 1",
        b"\xff\xfea\x00:\x00 \x001\x00",
        b"a: 1\n" * 1_000_000,
        "a: \ud800".encode("utf-8", "surrogatepass"),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_yaml_features_in_a_kubeconfig(content: bytes, tmp_path: Path) -> None:
    read(content, tmp_path)


def test_an_extension_that_holds_itself(tmp_path: Path) -> None:
    whole = copy.deepcopy(WHOLE)
    extension: dict[str, Any] = {}
    extension["again"] = extension
    whole["clusters"][0]["cluster"]["extensions"][0]["extension"] = extension  # type: ignore[index]
    YAML(typ="safe").dump(whole, tmp_path / "cyclic")
    read((tmp_path / "cyclic").read_bytes(), tmp_path)
