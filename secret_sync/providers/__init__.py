"""What secrets are fetched from: one stateless function per service, one try per call."""
