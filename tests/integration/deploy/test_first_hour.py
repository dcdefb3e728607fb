"""README.md, docs/install.md and docs/usage.md: what they have a stranger type works as printed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.migration.shell import Shell, shows
from tests.support.documentation import ROOT, block, blocks
from tests.support.kustomize import OVERLAYS, container, deployment, environment
from tests.support.operator import operator, secret, settings_for, values_of
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

README = "README.md"
INSTALL = "docs/install.md"
USAGE = "docs/usage.md"
REPOSITORY = "https://HOST/ORG/secret-sync"
SETTINGS = {"/debug": False, "/port": 8080}
DATABASE = {"user": "shop", "password": "p/w", "hosts": ["a", "b"]}


@pytest.fixture
def shell(plane: ControlPlane, namespace: str, tmp_path: Path) -> Shell:
    """Of somebody whose context has the namespace of the test."""
    made = Shell.in_folder(plane, tmp_path)
    path = tmp_path / "kubeconfig"
    kubeconfig(path, plane.server, plane.admin_token, str(plane.ca_file))
    config = yaml.safe_load(path.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    path.write_text(yaml.safe_dump(config))
    return Shell(made.folder, str(path))


async def run(shell: Shell, commands: str) -> str:
    code, out = await shell.run(commands)
    assert code == 0, f"{commands}\n{out}"
    return out


async def test_readme_is_installed_as_printed(shell: Shell, kubectl: Kubectl) -> None:
    commands = block(README, "sh install")
    assert len(commands.splitlines()) <= 12
    try:
        await run(shell, commands)
        objects = await asyncio.to_thread(kubectl.render, shell.folder / "my-cluster")
        # Without nodes it would wait for ever.
        state = await run(shell, block(INSTALL, "sh ready").rstrip() + " --watch=false")
        assert state.startswith("Waiting for deployment")
        found = json.loads(
            await run(shell, "kubectl -n secret-sync-system get deploy secret-sync -o json")
        )
    finally:
        await run(shell, "kubectl delete --ignore-not-found -k my-cluster")
    assert environment(objects)["SECRET_SYNC_REGION"] == "cn-hangzhou"
    assert container(objects)["image"] == "registry.example.com/platform/secret-sync:0.1.0"
    (volume,) = found["spec"]["template"]["spec"]["volumes"]
    assert volume["name"] == "tokens"


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """Address of a repository with our manifests and the tag."""
    place = tmp_path / "remote" / "secret-sync"
    place.mkdir(parents=True)
    for name in ("deploy", "crds"):
        shutil.copytree(ROOT / name, place / name)
    return f"file://{place}"


GIT = (
    "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -q -m a"
    " && git tag v0.1.0"
)


@pytest.mark.parametrize("page", [README, INSTALL])
async def test_remote_base_is_the_local_one(
    page: str, shell: Shell, kubectl: Kubectl, repository: str
) -> None:
    await run(shell, f"cd remote/secret-sync && {GIT}")
    remote = shell.folder / "from-afar"
    remote.mkdir()
    text = block(page, "yaml remote").replace(REPOSITORY, repository)
    assert REPOSITORY in block(page, "yaml remote")
    (remote / "kustomization.yaml").write_text(text)
    objects = await asyncio.to_thread(kubectl.render, remote)
    local = await asyncio.to_thread(kubectl.render, OVERLAYS / "rrsa")
    assert deployment(objects) == deployment(local)
    assert len(objects) == len(local) + ("network-policy" in text)
    applied = await run(shell, block(page, "sh remote").replace(REPOSITORY, repository))
    assert applied.count("serverside-applied") == 4


async def test_make_builds_the_image_under_its_name(shell: Shell) -> None:
    build, push = block(INSTALL, "sh image").splitlines()
    out = await run(shell, f"cd '{ROOT}' && {build.replace('make', 'make -n -o .venv/.installed')}")
    name = push.removeprefix("docker push ")
    assert f'IMAGE="{name}"' in out
    for line in block(README, "sh try").splitlines():
        command, _, target = line.partition("#")[0].strip().partition(" ")
        assert command == "make"
        assert await run(shell, f"cd '{ROOT}' && make -n {target}")


async def test_program_is_installed_for_the_terminal(shell: Shell) -> None:
    """Its dependencies are those of the tests: only the program itself is installed."""
    sources = shell.folder / "checkout"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("secret_sync", "crds"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    offline = (
        f"export PYTHONPATH='{sysconfig.get_path('purelib')}' PIP_NO_DEPS=1 PIP_NO_INDEX=1"
        " PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1; cd checkout\n"
    )
    out = await run(shell, offline + block(INSTALL, "sh cli") + "command -v kubectl-secret_sync")
    version, plugin = out.splitlines()[-2:]
    assert version.startswith("secret-sync 0.")
    assert plugin == f"{shell.folder}/.secret-sync/bin/kubectl-secret_sync"


def example(cloud: CloudInfo) -> str:
    text = block(README, "yaml example")
    text = text.replace("<AccessKey ID>", cloud.access_key_id)
    return text.replace("<AccessKey secret>", cloud.access_key_secret)


async def test_example_of_the_readme_gives_the_secret(
    shell: Shell, plane: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str
) -> None:
    await admin.put_secret("shop-db-password", "one")
    (shell.folder / "example.yaml").write_text(example(cloud))
    async with operator(settings_for(plane, cloud, namespace)):
        await run(shell, "kubectl apply -f example.yaml")
        await api.until_holds(namespace, "database", {"password": "one"})
        await api.until_ready(namespace, "database", "Synced")
        prompt, *shown = block(README, "console example").splitlines()
        out = await run(shell, prompt.removeprefix("$ "))
        for page in blocks("docs/authentication.md", "console"):
            await sees(shell, page.body.replace("shop", namespace))
    shows(out, [line.replace("3s", "...") for line in shown])


async def sees(shell: Shell, console: str) -> None:
    """Types what stands behind the prompts, and sees what follows them."""
    for part in console.split("$ ")[1:]:
        command, *shown = part.splitlines()
        shows(await run(shell, command), [re.sub(r"\b[35]s\b", "...", line) for line in shown])


EXPECTED: dict[str, dict[str, str]] = {
    "selected": {"username": "shop", "host": "a"},
    "extracted": {"root.debug": "false", "root.port": "8080"},
    "rendered": {"url": "postgresql://shop:p%2Fw@a/app"},
    "placed": {"db.json": json.dumps(DATABASE)},
    "merged": {"own": "mine", "db.json": json.dumps(DATABASE)},
    "hourly": {"db.json": json.dumps(DATABASE)},
    "parameter": {"value": "from OOS"},
}


async def test_usage_gives_what_it_says(
    shell: Shell, plane: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str
) -> None:
    await admin.put_secret("shop-db-password", "one")
    await admin.put_secret("shop-db", json.dumps(DATABASE))
    await admin.put_secret("shop-settings", json.dumps(SETTINGS))
    await api.put(secret("application", {"own": "mine"}), namespace)
    bodies = [found.body for found in blocks(USAGE, "yaml object")]
    objects = {yaml.safe_load(body)["metadata"]["name"]: body for body in bodies}
    assert objects.keys() == EXPECTED.keys()
    (shell.folder / "example.yaml").write_text(example(cloud))
    (shell.folder / "es.yaml").write_text(objects["selected"])
    parameter = f"{block(USAGE, 'yaml store')}---\n{objects['parameter']}"
    (shell.folder / "parameter.yaml").write_text(parameter)
    (shell.folder / "shop-db.json").write_text(json.dumps(DATABASE))
    async with operator(settings_for(plane, cloud, namespace)):
        await run(shell, "kubectl apply -f example.yaml -f parameter.yaml")
        await api.until_ready(namespace, "database", "Synced")
        await api.until_ready(namespace, "parameter", "SecretNotFound")
        prompt, *shown = block(USAGE, "console status").splitlines()
        shows(await run(shell, prompt.removeprefix("$ ")), shown_without_ages(shown))
        await admin.put_parameter("shop-parameter", "from OOS")
        await run(shell, block(USAGE, "sh force").replace("database", "parameter"))
        (shell.folder / "all.yaml").write_text("---\n".join(objects.values()))
        await run(shell, "kubectl apply -f all.yaml")
        for name, values in EXPECTED.items():
            await api.until_ready(namespace, name, "Synced")
            target = (yaml.safe_load(objects[name])["spec"].get("target") or {}).get("name", name)
            assert values_of(await api.get("Secret", namespace, target)) == values
        await run(shell, block(USAGE, "sh adopt"))
        await run_each(shell, cloud, block(USAGE, "sh terminal"))
    rendered: dict[str, Any] = await api.get("Secret", namespace, "rendered")
    assert rendered["metadata"]["labels"]["team"] == "shop"


def shown_without_ages(lines: list[str]) -> list[str]:
    return [line.replace("3s ago", "... ago") for line in lines]


async def run_each(shell: Shell, cloud: CloudInfo, commands: str) -> None:
    """Each line; a comparison of all namespaces may find something, and say so by its code."""
    here = (
        f"export SECRET_SYNC_REGION=cn-hangzhou SECRET_SYNC_KMS_ENDPOINT={cloud.endpoint}"
        f" SECRET_SYNC_OOS_ENDPOINT={cloud.endpoint} SSL_CERT_FILE='{cloud.ca_file}'\n"
    )
    for line in commands.splitlines():
        code, out = await shell.run(here + line)
        assert code == 0 or (line.startswith("secret-sync diff") and code == 1), f"{line}\n{out}"
        assert "secret-sync: " not in out
