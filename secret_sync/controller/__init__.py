"""The control loops: one reconciler per kind, and what wakes them."""
