"""secret-sync keeps Kubernetes Secrets in sync with Alibaba Cloud KMS."""

__version__ = "0.1.0"
