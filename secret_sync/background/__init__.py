"""Calls that may hang for reasons outside this process, run off the loop and not joined at exit.

Name servers, volumes and the reader of our log may stop answering. Calls that wait for them run in
daemon threads, which the interpreter does not join when it ends.
"""

from secret_sync.background.executor import DaemonExecutor
from secret_sync.background.writer import BackgroundWriter

__all__ = ["BackgroundWriter", "DaemonExecutor"]
