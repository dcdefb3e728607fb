"""From bytes to keys and values; pure functions that know neither Kubernetes nor Alibaba."""

from secret_sync.parse.keys import INVALID_KEY, TOO_LARGE, check_data

__all__ = ["INVALID_KEY", "TOO_LARGE", "check_data"]
