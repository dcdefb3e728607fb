"""`python -m secret_sync.local.cloud`: the local Alibaba Cloud as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from secret_sync.local.cloud.server import LocalCloud
from secret_sync.local.process import die_with_parent


def main() -> None:
    """Run until SIGTERM or SIGINT; one line on stdout, the path of `cloud.json`, says it is up."""
    parser = argparse.ArgumentParser(prog="python -m secret_sync.local.cloud", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="where cloud.json and ca.pem are left"
    )
    parser.add_argument("--port", type=int, default=0, help="of the HTTPS endpoint (any free one)")
    parser.add_argument("--proxy-port", type=int, default=0, help="of the proxy (any free one)")
    parser.add_argument("--admin-port", type=int, default=0, help="of the admin API (any free one)")
    parser.add_argument(
        "--metadata-port", type=int, default=0, help="of the metadata service (any free one)"
    )
    parser.add_argument("--parent", type=int, help="process to end with, if it is the parent")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    cloud = LocalCloud(
        port=arguments.port,
        proxy_port=arguments.proxy_port,
        admin_port=arguments.admin_port,
        metadata_port=arguments.metadata_port,
    )
    uvloop.run(_run(cloud, arguments.directory))


async def _run(cloud: LocalCloud, directory: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    info = await cloud.start(directory)
    try:
        path = await asyncio.to_thread(info.write, directory)
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
        await stop.wait()
        await asyncio.to_thread(path.unlink, missing_ok=True)
    finally:
        await cloud.stop()


if __name__ == "__main__":
    main()
