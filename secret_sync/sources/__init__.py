"""Sources: what is fetched, remembered and polled, once for all who use it."""

from secret_sync.sources.fetcher import FetchObservers
from secret_sync.sources.registry import SourceRegistry
from secret_sync.sources.source import Fetch, Reading, Source, Wanted

__all__ = ["Fetch", "FetchObservers", "Reading", "Source", "SourceRegistry", "Wanted"]
