from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import AdminError, CloudAdmin
from secret_sync.local.cloud.admin import Admin
from secret_sync.local.cloud.admin_oos import ParameterAdmin
from secret_sync.local.cloud.admin_ram import RamAdmin
from secret_sync.local.cloud.dispatch import convert
from secret_sync.local.cloud.event_bus import EventAdmin

if TYPE_CHECKING:
    from tests.unit.local.conftest import KmsCaller


class Colour(Enum):
    RED = "red"


@dataclass
class Pair:
    left: int
    right: str = "none"


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_client_has_every_operation_of_the_server_and_no_other() -> None:
    served = public(Admin) | public(RamAdmin) | public(ParameterAdmin) | public(EventAdmin)
    assert public(CloudAdmin) == {*served, "call"}, "what calls any of them"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (["a"], tuple[str, ...], ("a",)),
        (["id", 3], tuple[str, int], ("id", 3)),
        (["a"], list[str], ["a"]),
        ({"a": {"base64": "AP8="}}, dict[str, str | bytes], {"a": b"\x00\xff"}),
        (None, int | None, None),
        (2, float, 2),
        ("red", Colour | None, Colour.RED),
        ({"left": 1}, Pair, Pair(1)),
        ({"any": [1]}, Any, {"any": [1]}),
    ],
    ids=str,
)
def test_values_that_fit(value: Any, kind: Any, expected: Any) -> None:
    assert convert(value, kind, "it") == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("SECRET", int),
        ("SECRET", tuple[str, ...]),
        (["SECRET"], tuple[int, ...]),
        (["SECRET"], tuple[str, str]),
        (["SECRET"], dict[str, str]),
        ({"k": "SECRET"}, dict[str, int]),
        ({"base64": "!SECRET"}, str | bytes),
        ({"base64": "SECRET!"}, bytes),
        ({"right": "SECRET"}, Pair),
        ({"left": 1, "middle": "SECRET"}, Pair),
        ("SECRET", int | None),
        ("SECRET", float | bool),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused_and_not_quoted(value: Any, kind: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        convert(value, kind, "it")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda admin: admin.put_secret("s", "SECRET", colour="red"), 400),
        (lambda admin: admin.put_secret("s", "SECRET", stages="ACSCurrent"), 400),
        (lambda admin: admin.put_secrets("s"), 400),
        (lambda admin: admin.call("put_secret", name="s"), 400),
        (lambda admin: admin.call("_put", name="s", value="SECRET"), 404),
        (lambda admin: admin.call("put_secret", self="s", value="SECRET"), 400),
        (lambda admin: admin.rotate("s", stage="ACSCurrent"), 400),
    ],
)
async def test_wrong_arguments_are_refused_by_the_server(
    admin: CloudAdmin, call: Any, status: int
) -> None:
    with pytest.raises(AdminError) as caught:
        await call(admin)
    assert caught.value.status == status
    assert "SECRET" not in str(caught.value)
    assert await admin.secrets() == []


async def test_binary_value_stays_binary_beside_text(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secrets({"binary": b"\x00\xff", "text": '{"base64": "AP8="}'})
    binary, text = [(await kms.get(name)).body for name in ("binary", "text")]
    assert [binary["SecretDataType"], text["SecretDataType"]] == ["binary", "text"]
    assert text["SecretData"] == '{"base64": "AP8="}'
