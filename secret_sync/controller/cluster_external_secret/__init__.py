"""ClusterExternalSecrets: imported only where the kind is installed and turned on."""
