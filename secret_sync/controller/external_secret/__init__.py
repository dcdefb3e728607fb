"""ExternalSecrets: the reconcile loop, from a spec to the data and status of its Secret."""
