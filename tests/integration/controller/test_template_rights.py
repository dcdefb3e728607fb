"""What templates may read, and what a hostile one costs the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.controller.external_secret.state import TEMPLATE_CHANGES
from tests.integration.controller.test_rights import account, allow, rules_without
from tests.support.kustomize import COMPONENTS
from tests.support.operator import external_secret, operator, secret, settings_for, values_of

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

__all__ = ["account"]  # a fixture
SOON = 15.0


def component_rules() -> list[dict[str, Any]]:
    """The rules of the component for ConfigMaps."""
    path = COMPONENTS / "template-config-maps" / "clusterrole.yaml"
    return list(yaml.safe_load(path.read_text())["rules"])


async def test_config_maps_need_a_right_of_their_own(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: str,
) -> None:
    await admin.put_secret("rights/user", "alice")
    await allow(api, home, rules_without())
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}}
    await api.put({**texts, "data": {"a": "1 {{ .user }}"}}, home)
    source = {"configMap": {"name": "texts", "items": [{"key": "a"}]}}
    entry = {"key": "rights/user", "name": "user"}
    async with operator(settings_for(cluster, cloud, home, kubeconfig=account)) as controller:
        target = {"template": {"templateFrom": [source]}}
        await api.put(external_secret("some", entry, target=target), home)
        condition = await api.until_ready(home, "some", "TemplateSourceForbidden")
        assert "component template-config-maps" in condition["message"]
        # Nothing else suffers, nor do templates in Secrets.
        await api.put(secret("hidden", {"a": "1 {{ .user }}"}), home)
        hidden = {"secret": {"name": "hidden", "items": [{"key": "a"}]}}
        target = {"template": {"templateFrom": [hidden]}}
        await api.put(external_secret("other", entry, target=target), home)
        await api.until_holds(home, "other", {"a": "1 alice"})
        assert not controller.unready
        await api.put(external_secret("plain", entry), home)
        await api.until_holds(home, "plain", {"user": "alice"})
        await allow(api, home, [*rules_without(), *component_rules()])
        # The watch of ConfigMaps, which was refused, tries again now and then.
        await api.until_ready(home, "some", "Synced", within=90)
        await api.until_holds(home, "some", {"a": "1 alice"})
        await api.put({**texts, "data": {"a": "2 {{ .user }}"}}, home)
        await api.until_holds(home, "some", {"a": "2 alice"})


TWICE = '{{ template "a" . }}{{ template "a" . }}'
HOSTILE = {
    "loop": "{{ range until 100000 }}{{ range until 100000 }}x{{ end }}{{ end }}",
    "recursion": f'{{{{ define "a" }}}}{TWICE}{{{{ end }}}}{TWICE}',
    "repeat": '{{ repeat 1000000000 "x" }}',
    "growth": "{{ $a := `x` }}{{ range until 64 }}{{ $a = print $a $a }}{{ end }}{{ $a }}",
    "hashes": "{{ range until 17 }}{{ bcrypt $.user 13 }}{{ end }}",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_endless_template_delays_nobody(
    admin: CloudAdmin, api: Api, home: str, running: Running, name: str
) -> None:
    await admin.put_secret("rights/user", "alice")
    entry = {"key": "rights/user", "name": "user"}
    async with running():
        await api.put(external_secret("first", entry), home)
        await api.until_holds(home, "first", {"user": "alice"})
        target = {"template": {"data": {"a": HOSTILE[name]}}}
        loop = asyncio.get_running_loop()
        started = loop.time()
        await api.put(external_secret("hostile", entry, target=target), home)
        await api.put(external_secret("other", entry), home)
        await api.until_holds(home, "other", {"user": "alice"})
        assert loop.time() - started < SOON
        condition = await api.until_ready(home, "hostile", "TooCostly")
        assert 'target.template.data["a"]' in condition["message"]
        assert loop.time() - started < SOON


async def test_two_that_render_each_other_are_slowed_down(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    """Each output is the other's template, and longer than its own."""
    await admin.put_secret("rights/user", "{{ .user }}x")
    entry = {"key": "rights/user", "name": "user"}

    def rendering(name: str, other: str) -> dict[str, Any]:
        source = {"secret": {"name": other, "items": [{"key": "a"}]}}
        target = {"template": {"templateFrom": [source]}}
        return external_secret(name, entry, target=target)

    async with running():
        target = {"template": {"data": {"a": "{{ .user }}"}}}
        await api.put(external_secret("one", entry, target=target), home)
        await api.until_holds(home, "one", {"a": "{{ .user }}x"})
        await api.put(rendering("two", "one"), home)
        await api.until_holds(home, "two", {"a": "{{ .user }}xx"})
        await api.put(rendering("one", "two"), home)
        grown = len("{{ .user }}") + 8
        await api.until("Secret", home, "two", lambda s: len(values_of(s)["a"]) > grown)
        await asyncio.sleep(3)
        length = len(values_of(await api.get("Secret", home, "two"))["a"])
        # A few times at once, and from then on a few times a minute.
        assert length < grown + 4 * TEMPLATE_CHANGES
        await api.put(external_secret("other", entry), home)
        await api.until_holds(home, "other", {"user": "{{ .user }}x"})
        await api.put(external_secret("one", entry, target=target), home)
        await api.until_holds(home, "one", {"a": "{{ .user }}x"})
