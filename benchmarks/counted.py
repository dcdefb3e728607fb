"""Runs a module and counts its calls: ``python -m benchmarks.counted MODULE ARGUMENTS``.

Counted are the calls in the thread of the event loop, by the path of functions that led to them; a
coroutine that is resumed counts once more, as it costs. The tree goes to the file that ``CALLS_TO``
names, at the end and at each SIGUSR1, after which counting begins again.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from types import CodeType, FrameType

TO: Final = "CALLS_TO"


class _Node:
    """A function of Python, as reached by one path."""

    __slots__ = ("calls", "children", "code", "native", "parent")

    def __init__(self, code: CodeType | None, parent: _Node | None) -> None:
        self.code = code
        self.parent = parent
        self.children: dict[CodeType, _Node] = {}
        self.native: dict[str, int] = {}
        self.calls = 0


class CallTree:
    """The hook of ``sys.setprofile``."""

    def __init__(self) -> None:
        self._root = self._here = _Node(None, None)

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        """Count one call, or leave it."""
        here = self._here
        if event == "call":
            code = frame.f_code
            node = here.children.get(code)
            if node is None:
                node = here.children[code] = _Node(code, here)
            node.calls += 1
            self._here = node
        elif event == "return":
            # A frame that was entered before counting began is not in the tree. Equal code of two
            # functions is one node.
            if here.code is frame.f_code or here.code == frame.f_code:
                self._here = here.parent or self._root
        elif event == "c_call":
            name = function.__qualname__
            here.native[name] = here.native.get(name, 0) + 1

    def write(self, *_: object) -> None:
        """Write rows of parent, name, calls and native calls; the root is none of them."""
        sys.setprofile(None)
        rows: list[tuple[int, str, int, dict[str, int]]] = []
        left = [(-1, child) for child in self._root.children.values()]
        while left:
            parent, node = left.pop()
            code = node.code
            name = f"{Path(code.co_filename).stem}.{code.co_qualname}" if code else ""
            rows.append((parent, name, node.calls, node.native))
            left += ((len(rows) - 1, child) for child in node.children.values())
        place = Path(os.environ[TO])
        place.with_suffix(".new").write_bytes(orjson.dumps(rows))
        place.with_suffix(".new").replace(place)
        self._root = self._here = _Node(None, None)
        sys.setprofile(self)


def main() -> None:
    """Run the module as the main one."""
    tree = CallTree()
    atexit.register(tree.write)
    signal.signal(signal.SIGUSR1, tree.write)
    module, sys.argv = sys.argv[1], sys.argv[1:]
    sys.setprofile(tree)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
