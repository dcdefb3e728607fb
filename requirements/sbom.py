# ruff: noqa: INP001 (a script beside the files that it reads)
"""Tells what is in the image, as CycloneDX 1.6 in JSON: ``python requirements/sbom.py > FILE``.

Made from ``run.txt`` alone, so that it says what was pinned, with the hashes that pip insists on.
Licences are those that the installed packages declare, where the same version is installed.
cyclonedx-bom does not serve here: from the pins it makes a list without licences and without who
needs whom, from an environment one without hashes and with all that tests need, and it brings 30
packages of its own.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: The date of the Dockerfile, unless the environment says another.
EPOCH = 1767225600
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: *; *(.*?))? *\\$")
_CLASSIFIER = "License :: OSI Approved :: "


def pins(text: str) -> list[dict[str, Any]]:
    """Return the packages of a file that ``make pin`` wrote.

    Each has ``name``, ``version``, ``marker`` (empty where it is always installed), ``hashes``
    (hexadecimal) and ``via``: the packages that need it, and the files that name it.
    """
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin:
            name, version, marker = pin.groups(default="")
            found.append(
                {"name": name, "version": version, "marker": marker, "hashes": [], "via": []}
            )
        elif found and "--hash=sha256:" in line:
            found[-1]["hashes"].append(line.partition("sha256:")[2].rstrip(" \\"))
        elif found and line.startswith("    #"):
            via = line.strip(" #").removeprefix("via").strip()
            found[-1]["via"] += [via] if via else []
    return found


def bill(text: str, version: str, epoch: int = EPOCH) -> dict[str, Any]:
    """Return the document.

    Args:
        text: Of the file with the pins.
        version: Of secret-sync.
        epoch: Seconds; the date that the document bears.
    """
    packages = pins(text)
    urls = {p["name"]: f"pkg:pypi/{p['name']}@{p['version']}" for p in packages}
    ours = f"pkg:generic/secret-sync@{version}"
    needs: dict[str, list[str]] = {ours: [], **{url: [] for url in urls.values()}}
    for package in packages:
        for via in package["via"]:
            needs[ours if via.startswith("-r ") else urls[via]].append(urls[package["name"]])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{ours}:{text}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "secret-sync",
                "version": version,
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [_component(package, urls[package["name"]]) for package in packages],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(needed)} for ref, needed in needs.items()
        ],
    }


def _component(package: dict[str, Any], url: str) -> dict[str, Any]:
    licence = _licence(package["name"], package["version"])
    return {
        "type": "library",
        "bom-ref": url,
        "name": package["name"],
        "version": package["version"],
        "purl": url,
        # Of each file that would be accepted: one per platform.
        "hashes": [{"alg": "SHA-256", "content": content} for content in package["hashes"]],
        **({"licenses": [licence]} if licence else {}),
        **(
            {"properties": [{"name": "secret-sync:only-where", "value": package["marker"]}]}
            if package["marker"]
            else {}
        ),
    }


def _licence(name: str, version: str) -> dict[str, Any]:
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return {}
    if said["Version"] != version:
        return {}
    if "License-Expression" in said:
        return {"expression": said["License-Expression"]}
    classified = [c for c in said.get_all("Classifier", []) if c.startswith(_CLASSIFIER)]
    if classified:
        return {"license": {"name": " OR ".join(c.removeprefix(_CLASSIFIER) for c in classified)}}
    # Some put the whole text there.
    short = [line for line in said.get_all("License", []) if line and "\n" not in line]
    return {"license": {"name": short[0]}} if short else {}


def main() -> None:
    """Write the document to standard output."""
    source = (ROOT / "secret_sync" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.*)"$', source, flags=re.MULTILINE)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))
    document = bill((ROOT / "requirements" / "run.txt").read_text(), version, epoch)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
