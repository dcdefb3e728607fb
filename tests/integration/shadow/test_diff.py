"""`secret-sync diff` and docs/shadow-mode.md, as a person follows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from secret_sync.resources.names import LEGACY_FINALIZER
from tests.integration.shadow.conftest import MUTATING, RBAC, requests_of
from tests.support.identities import Ram, auth_store, put_account, using
from tests.support.operator import external_secret, operator, secret, settings_for
from tests.support.program import running
from tests.support.watching import post_as

if TYPE_CHECKING:
    from typing import Any

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.shadow.conftest import Shadow
    from tests.support.commands import Cli
    from tests.support.operator import Api

PAGE = Path(__file__).parents[3] / "docs" / "shadow-mode.md"
ADOPT = "secret-sync.alibabacloud.com/adopt"
ENTRY = {"key": "diff/one", "name": "password"}
VALUE = "diff-value-one"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


async def put_documented(
    plane: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    """The three objects of the page."""
    await admin.put_secret("diff/one", VALUE)
    async with operator(settings_for(plane, cloud, home)):
        for name in ("database", "settings"):
            await api.put(external_secret(name, ENTRY), home)
            await api.until_holds(home, name, {"password": VALUE})
            await api.until_ready(home, name, "Synced")
    await api.merge("Secret", home, "database", {"data": {"password": "b3RoZXI="}})
    await post_as(api, "somebody", secret("labels", {"password": VALUE}), home)
    adopting = external_secret("labels", ENTRY)
    adopting["metadata"]["annotations"] = {ADOPT: "true"}
    await api.put(adopting, home)


async def test_documented_commands_show_what_the_page_shows(
    plane: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: Shadow,
    cli: Cli,
) -> None:
    await put_documented(plane, cloud, admin, api, home)
    ram = await Ram.of(plane, admin, cloud)
    await put_account(api, home, "reader", await ram.role_for("diff-reader", home, "reader"))
    (rules,) = blocks("yaml role")
    role: dict[str, Any] = yaml.safe_load(rules)
    role["metadata"]["name"] = f"shadow-{home}"
    status, body = await api.request("POST", f"{RBAC}/clusterroles", role)
    assert status == 201, body
    config = await account("person", role["metadata"]["name"])
    everywhere, somewhere, one = (
        line.partition("#")[0].split()[1:] for line in blocks("sh diff")[0].splitlines()
    )
    shown = blocks("console")[0].partition("\n")[2].splitlines()

    done = await cli(*(home if word == "shop" else word for word in somewhere), KUBECONFIG=config)
    assert (done.code, done.err) == (1, "")
    assert [line.split() for line in done.out.splitlines()] == [line.split() for line in shown]
    assert VALUE not in done.out

    done = await cli(*(home if word == "shop" else word for word in one), KUBECONFIG=config)
    assert done.code == 1
    assert done.out.splitlines()[1].split()[:3] == ["database", "would", "change"]
    assert "settings" not in done.out

    done = await cli(*everywhere, KUBECONFIG=config)
    rows = [line.split()[:4] for line in done.out.splitlines()]
    assert [home, "labels", "would", "adopt"] in rows

    await follow(plane, cloud, home, config)

    auth = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": ram.provider}
    await api.put(auth_store("rrsa", **auth), home)
    await api.put(using("rrsa", "by-token", "diff/one"), home)
    done = await cli("diff", "-n", home, "by-token", KUBECONFIG=config)
    assert "would create" in done.out
    mutating = set(requests_of(plane, f"system:serviceaccount:{home}:person"))
    assert {r for r in mutating if r[0] in MUTATING} == {("create", "serviceaccounts/token")}


async def follow(plane: ControlPlane, cloud: CloudInfo, home: str, config: str) -> None:
    """Run the controller as the page does, until it has logged what the page shows."""
    (command,), shown = blocks("sh run"), blocks("console")[1].splitlines()[1:]
    program, run, *flags = command.split()
    assert (program, run) == ("secret-sync", "run")
    variables = {
        "KUBECONFIG": config,
        "SECRET_SYNC_REGION": "cn-hangzhou",
        "SECRET_SYNC_KMS_ENDPOINT": cloud.endpoint,
        "SECRET_SYNC_METRICS_BIND_ADDRESS": "0",
        "SECRET_SYNC_LOG_FORMAT": "console",
        "SSL_CERT_FILE": cloud.ca_file,
    }
    async with running(*flags, **variables) as child:
        for line in shown:
            words = line.partition("] ")[2].partition("=")[0].rpartition(" ")[0].strip()
            await child.until_says(words)
        await child.until_says(f"changed=password key={home}/database")


async def test_exit_code_is_0_if_nothing_would_change(
    admin: CloudAdmin, api: Api, home: str, cli: Cli
) -> None:
    """A conflict is left alone, and so is what cannot be fetched."""
    await admin.put_secret("diff/one", VALUE)
    await post_as(api, "somebody", secret("foreign", {"password": "x"}), home)
    await api.put(external_secret("foreign", ENTRY), home)
    await api.put(external_secret("missing", {"key": "diff/none", "name": "x"}), home)
    done = await cli("diff", "-n", home)
    assert (done.code, done.err) == (0, "")
    foreign, missing = done.out.splitlines()[1:3]
    assert foreign.split()[:3] == ["foreign", "conflict", "foreign"]
    assert "SecretConflict: Secret" in foreign
    assert missing.split()[:3] == ["missing", "not", "synced"]
    assert "SecretNotFound: " in missing


async def test_finalizers_of_ack_secret_manager_are_reported(
    admin: CloudAdmin, api: Api, home: str, cli: Cli
) -> None:
    """Also where the Secret stays as it is; not where nothing would be written."""
    await admin.put_secret("diff/one", VALUE)
    for name, key in (("database", "diff/one"), ("missing", "diff/none")):
        await post_as(api, "ack-secret-manager", secret(name, {"password": VALUE}), home)
        legacy = external_secret(name, {"key": key, "name": "password"})
        legacy["metadata"]["finalizers"] = [LEGACY_FINALIZER]
        await api.put(legacy, home)
    done = await cli("diff", "-n", home)
    assert done.code == 1
    _, database, missing, _, total = done.out.splitlines()
    removed = "remove the finalizer of ack-secret-manager"
    assert database.split()[:3] == ["database", "would", "adopt"]
    assert database.endswith(f"; {removed}")
    assert removed not in missing
    assert "1 would adopt" in total
    found = await api.get("ExternalSecret", home, "database")
    assert found["metadata"]["finalizers"] == [LEGACY_FINALIZER]


async def test_silence_of_kms_is_no_answer(
    admin: CloudAdmin, api: Api, home: str, cli: Cli
) -> None:
    await admin.put_secret("diff/slow", VALUE)
    await admin.set_fault("hang", subject="diff/slow")
    await api.put(external_secret("slow", {"key": "diff/slow", "name": "x"}), home)
    done = await cli("diff", "-n", home, "--timeout", "2s")
    assert done.code == 1
    assert "no answer" in done.out
    assert done.err == ("secret-sync diff: no answer about 1 of 1 within 2s; see --timeout\n")


async def test_unknown_name_is_one_line(home: str, cli: Cli) -> None:
    done = await cli("diff", "-n", home, "nobody")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"secret-sync diff: ExternalSecret {home}/nobody does not exist\n"
