"""Writes ``verdicts.json``: what the library kstatus makes of our objects (``make kstatus``)."""

from __future__ import annotations

import json
import shutil
import subprocess

from tests.kstatus.objects import HERE, VERDICTS, read_objects


def main() -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    objects = read_objects()
    found = subprocess.run(  # noqa: S603
        [go, "run", "."],
        cwd=HERE,
        input="\n".join(map(json.dumps, objects.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [
        json.dumps({"name": name, "verdict": verdict, "object": found})
        for (name, found), verdict in zip(objects.items(), found.stdout.split(), strict=True)
    ]
    VERDICTS.write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
