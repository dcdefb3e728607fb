"""docs/gitops.md as data: its snippets, and its health check for Argo CD, which is run."""

from __future__ import annotations

from typing import Any

import yaml
from lupa import lua51

from tests.support.documentation import sections

DOCUMENT = "docs/gitops.md"
#: The word of Argo CD for each one of kstatus.
ARGO_CD = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}


def snippet(name: str) -> dict[str, Any]:
    """The one block ``yaml <name>`` of the document."""
    (text,) = [body for s in sections(DOCUMENT) for body in s.fenced(f"yaml {name}")]
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def argo_cd_health(found: dict[str, Any]) -> tuple[str, str]:
    """Status and message that the Lua of the document gives an object, in the Lua of Argo CD."""
    key = f"resource.customizations.health.alibabacloud.com_{found['kind']}"
    lua = lua51.LuaRuntime()
    lua.globals()["obj"] = lua.table_from(found, recursive=True)
    health = lua.execute(snippet("argocd-cm")["data"][key])
    return health["status"], health["message"]
