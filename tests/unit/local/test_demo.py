"""What the demo shows, and what it never does."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from secret_sync.local.demo_rrsa import RrsaStep
from secret_sync.local.demo_screen import DemoScreen, seconds
from secret_sync.local.demo_watch import SecretWatch
from secret_sync.local.errors import LocalError
from secret_sync.local.kubectl import Kubectl

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller

pytestmark = pytest.mark.slow

VALUE = "never-to-be-shown"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def event(kind: str, **data: str) -> str:
    encoded_data = {name: encoded(value) for name, value in data.items()}
    return json.dumps({"type": kind, "object": {"kind": "Secret", "data": encoded_data}})


@pytest.fixture
def fake_kubectl(tmp_path: Path) -> tuple[Kubectl, Path]:
    """Prints what the file says instead of asking a server."""
    script = tmp_path / "script.py"
    program = tmp_path / "kubectl"
    program.write_text(f"#!{sys.executable}\nexec(open({str(script)!r}).read())\n")
    program.chmod(0o700)
    return Kubectl(program, {}), script


def test_secret_is_shown_by_key_size_and_digest(capsys: pytest.CaptureFixture[str]) -> None:
    before = {"a": encoded(VALUE), "bb": encoded("x")}
    DemoScreen(colour=False).secret({**before, "bb": encoded("yy")}, before)
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == ["a", "bb"]
    assert "17 bytes" in shown
    assert shown.splitlines()[0].endswith("as before")
    assert shown.splitlines()[1].endswith("changed")
    assert VALUE not in shown
    assert encoded(VALUE) not in shown


def test_colour_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    for colour in (False, True):
        screen = DemoScreen(colour=colour)
        screen.step("First")
        screen.command("kubectl", "get", "a b")
        screen.good("done")
        assert ("\033[" in capsys.readouterr().out) is colour


def test_steps_are_numbered_and_commands_can_be_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = DemoScreen(colour=False)
    screen.step("First")
    screen.step("Second")
    screen.command("kubectl", "get", "a b")
    assert capsys.readouterr().out == "\n1. First\n\n2. Second\n   $ kubectl get 'a b'\n"


def test_reader_that_has_gone_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "r") as unwritable:
        monkeypatch.setattr(sys, "stdout", unwritable)
        DemoScreen(colour=False).note("nobody reads this")


@pytest.mark.parametrize(("duration", "text"), [(0.0114, "11 ms"), (1.26, "1.3 s")])
def test_durations_are_for_people(duration: float, text: str) -> None:
    assert seconds(duration) == text


async def test_watch_sees_short_lived_states(
    fake_kubectl: tuple[Kubectl, Path],
) -> None:
    kubectl, script = fake_kubectl
    # All three at once, and one of them in two pieces.
    text = "\n".join([event("ADDED", a="1"), event("MODIFIED", a="x"), event("MODIFIED", a="1")])
    script.write_text(
        "import sys, time\n"
        f"sys.stdout.write({text[:-20]!r}); sys.stdout.flush(); time.sleep(0.1)\n"
        f"sys.stdout.write({text[-20:]!r} + chr(10)); sys.stdout.flush(); time.sleep(60)\n"
    )
    watch = SecretWatch()
    await watch.start(kubectl, "shop", "database")
    good = encoded("1")
    first = await watch.until(lambda e: e.kind == "ADDED", within=10, what="it is made")
    edited = await watch.until(lambda e: e.data["a"] != good, within=10, what="it is edited")
    repaired = await watch.until(lambda e: e.data["a"] == good, within=10, what="it is repaired")
    assert first.at <= edited.at <= repaired.at
    assert good not in repr(first)
    with pytest.raises(LocalError, match="it goes: not within 0 s"):
        await watch.until(lambda e: e.kind == "DELETED", within=0.05, what="it goes")
    await watch.stop()


async def test_watch_that_breaks_off_says_why(fake_kubectl: tuple[Kubectl, Path]) -> None:
    kubectl, script = fake_kubectl
    script.write_text("import sys; sys.exit('the server is gone')")
    watch = SecretWatch()
    await watch.start(kubectl, "shop", "database")
    with pytest.raises(LocalError, match="broke off: the server is gone"):
        await watch.until(lambda _: True, within=10, what="anything")
    await watch.stop()


async def test_failing_kubectl_is_one_line(fake_kubectl: tuple[Kubectl, Path]) -> None:
    kubectl, script = fake_kubectl
    script.write_text("import sys; sys.exit('error: no\\n  such thing')")
    with pytest.raises(LocalError) as failed:
        await kubectl.run("get", "x")
    assert str(failed.value) == "kubectl get: error: no such thing"


async def test_hanging_kubectl_is_ended(fake_kubectl: tuple[Kubectl, Path]) -> None:
    kubectl, script = fake_kubectl
    script.write_text("import time; time.sleep(60)")
    with pytest.raises(LocalError, match="took over 0 s"):
        async with asyncio.timeout(10):
            await kubectl.run("get", "x", within=0.2)


def answers(issuer: object, keys: object) -> str:
    """A kubectl that returns these two documents of a cluster, and accepts everything else."""
    return (
        f"import json, sys\nissuer, keys = json.loads({json.dumps([issuer, keys])!r})\n"
        "asked = sys.argv[-1]\n"
        "if 'openid-configuration' in asked: print(json.dumps(issuer))\n"
        "elif 'jwks' in asked: print(json.dumps(keys))\n"
    )


def public_keys() -> dict[str, object]:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode()
        for n in (numbers.x, numbers.y)
    )
    return {"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]}


ISSUER = {"issuer": "https://issuer.example"}


@pytest.mark.parametrize(
    ("kubectl_says", "reason"),
    [
        (
            "import sys\nprint('forbidden', file=sys.stderr)\nsys.exit(1)\n",
            "kubectl get: forbidden",
        ),
        ("print('<html>')", "the cluster does not publish its OIDC issuer and keys"),
        (answers({}, public_keys()), "the cluster does not publish its OIDC issuer and keys"),
        (answers(ISSUER, "http://a/b"), "the cluster does not publish its OIDC issuer and keys"),
        (answers(ISSUER, ["key"]), "the cluster does not publish its OIDC issuer and keys"),
        (
            answers(ISSUER, {"keys": [{"kty": "EC", "crv": "P-384"}]}),
            "the cluster's OIDC keys cannot be used: the JWKS has no RSA and no P-256 key",
        ),
    ],
)
async def test_cluster_without_usable_keys_is_not_a_failure(
    admin: CloudAdmin,
    fake_kubectl: tuple[Kubectl, Path],
    capsys: pytest.CaptureFixture[str],
    kubectl_says: str,
    reason: str,
) -> None:
    kubectl, script = fake_kubectl
    script.write_text(kubectl_says)

    async def apply(name: str) -> None:
        raise AssertionError(f"{name} must not be applied")

    await RrsaStep(kubectl, admin, "ns", DemoScreen(colour=False), apply).show()
    shown = capsys.readouterr().out
    assert f"skipped: {reason}\n" in shown
    assert "✗" not in shown


async def test_unexpected_use_of_an_access_key_is_reported(
    admin: CloudAdmin,
    kms: KmsCaller,
    fake_kubectl: tuple[Kubectl, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    kubectl, script = fake_kubectl
    script.write_text(answers(ISSUER, public_keys()))
    # Before the step, it is what the demo is about.
    await kms.get("shop-db-password")

    async def apply(name: str) -> None:
        if used:
            await kms.get("shop-db-password")

    step = RrsaStep(kubectl, admin, "ns", DemoScreen(colour=False), apply)
    used = False
    await step.show()
    assert "0 calls of STS; no AccessKey is left" in capsys.readouterr().out
    used = True
    with pytest.raises(LocalError, match="used after all, for GetSecretValue"):
        await step.show()
    assert "no AccessKey is left" not in capsys.readouterr().out
