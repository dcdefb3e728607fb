"""The demo's step with documents: extraction from the JSON and YAML of Alibaba's guide."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from secret_sync.local.demo_step import Step
from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping


_FRIENDS: Final = {"name": "tom", "friends": [{"name": "lily"}, {"name": "mark"}]}
_ODD_KEYS: Final = {"/name-invalid": "lily", "name-invalid/": [{"name": "mark"}]}
_DOCUMENTS: Final[Mapping[str, str]] = {
    "friends-json": json.dumps(_FRIENDS, separators=(",", ":")),
    "odd-keys-json": json.dumps(_ODD_KEYS, separators=(",", ":")),
    "friends-yaml": "name: tom\nfriends:\n  - name: lily\n  - name: mark\n",
    "odd-keys-yaml": "/name-invalid: lily\nname-invalid/:\n  - name: mark\n",
}
_FIELDS: Final = {"myname": "tom", "friendname": "lily"}
#: Each example, and the expected content of its Secret.
EXAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "json-fields": _FIELDS,
    "json-all": {"tom": "lily", "mark": '[{"name":"mark"}]'},
    "yaml-fields": _FIELDS,
    "yaml-all": {"tom": "lily", "mark": "- name: mark"},
}


#: What the template renders.
RENDERED: Final = {"url": "https://tom@lily:443"}


class DocumentsStep(Step):
    """Shows extraction from documents, and a template."""

    async def show(self) -> None:
        """Show it.

        Raises:
            LocalError: It did not come true.
        """
        screen = self.screen
        screen.step("Documents in KMS: single values by JMESPath, or all of their keys")
        for name, text in _DOCUMENTS.items():
            await self.admin.put_secret(name, text)
            screen.output(f"{name}: {json.dumps(text) if 'yaml' in name else text}")
        for name, expected in EXAMPLES.items():
            await self.apply(f"documents/{name}.yaml")
            await self.wait_ready(f"aes/{name}")
            # Public text of the guide; a real value is never shown.
            held = await self._held(name)
            for key, value in sorted(held.items()):
                screen.output(f"{key}: {value}")
            if held != expected:
                raise LocalError(f"Secret {name} does not have the content of its document")
        screen.good("JSON and YAML became the keys of four Secrets")
        await self._render()

    async def _render(self) -> None:
        screen, name = self.screen, "template"
        screen.step("A template makes a URL and a label of a document")
        await self.apply(f"documents/{name}.yaml")
        await self.wait_ready(f"aes/{name}")
        held = await self._held(name)
        screen.output(f"url: {held.get('url')}")
        label = await self.kubectl.run(
            *("get", "secret", name, "-n", self.namespace),
            "--output=jsonpath={.metadata.labels.user}",
        )
        screen.output(f"label user: {label}")
        if (held, label.strip()) != (RENDERED, "TOM"):
            raise LocalError(f"Secret {name} is not what its template makes")
        screen.good("the Secret has what the template renders, and nothing else")

    async def _held(self, name: str) -> dict[str, str]:
        text = await self.kubectl.run(
            *("get", "secret", name, "-n", self.namespace, "--output=jsonpath={.data}")
        )
        return {key: base64.b64decode(value).decode() for key, value in json.loads(text).items()}
