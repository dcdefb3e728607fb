"""The command line: one module or package a command, each imported only when it runs."""

from secret_sync.cli.entry import main

__all__ = ["main"]
