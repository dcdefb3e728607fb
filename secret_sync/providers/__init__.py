"""Secret backends: one stateless fetch function per service, one try per call."""
