"""``python -m secret_sync`` is the console script."""

from secret_sync.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
