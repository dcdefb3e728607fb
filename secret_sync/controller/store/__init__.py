"""SecretStores and ClusterSecretStores: identities, references, admission of namespaces."""
