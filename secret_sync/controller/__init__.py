"""The control loops: one reconciler per kind, and what enqueues them."""
