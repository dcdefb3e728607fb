"""Sources: each is fetched, cached and polled once for all of its users."""

from secret_sync.sources.fetcher import FetchObservers
from secret_sync.sources.registry import SourceRegistry
from secret_sync.sources.source import Fetch, Source, SourceRequest, SourceSnapshot

__all__ = ["Fetch", "FetchObservers", "Source", "SourceRegistry", "SourceRequest", "SourceSnapshot"]
