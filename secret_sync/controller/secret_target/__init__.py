"""The Secret that is written: ownership, writes, merges, adoption, cleanup."""
