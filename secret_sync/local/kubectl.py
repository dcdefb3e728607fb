"""Running kubectl."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Final

from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS: Final = 60.0


class Kubectl:
    """kubectl for one cluster.

    Args:
        program: Its path.
        environment: Its environment; ``KUBECONFIG`` there says which cluster.
    """

    def __init__(self, program: Path, environment: Mapping[str, str]) -> None:
        self.program = program
        self.environment = environment

    async def run(self, *arguments: str, within: float = _SECONDS) -> str:
        """Run a command and return what it prints.

        Args:
            *arguments: After ``kubectl``.
            within: Seconds it may take.

        Raises:
            LocalError: It failed, with its own words, or took too long.
        """
        process = await asyncio.create_subprocess_exec(
            self.program,
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            # A Ctrl-C at the terminal is our business: we stop it, and clean up.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(within):
                output, errors = await process.communicate()
        except TimeoutError:
            raise LocalError(f"kubectl {arguments[0]} took over {within:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            words = " ".join(errors.decode(errors="replace").split())
            raise LocalError(f"kubectl {arguments[0]}: {words or process.returncode}")
        return output.decode()
