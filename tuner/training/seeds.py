"""Seeds that follow from a run's seed."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of 31 bits for one purpose, independent of those for others."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
