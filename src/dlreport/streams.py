"""Named, independent random streams: no draw in one can move another, and none touches torch's global state."""

import hashlib

import numpy as np
import torch


def stream(seed: int, *name: str | int) -> torch.Generator:
    """A CPU generator for the use called `name`, e.g. stream(2023, "sequence", "LSTM", 20, 0, "data").

    The name's SHA-256 becomes the spawn key of a SeedSequence, so streams are independent of each other and of how
    many there are. Always on the CPU: a run draws the same numbers whatever device it trains on.
    """
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    key = tuple(np.frombuffer(digest, dtype="<u4").tolist())
    (word,) = np.random.SeedSequence(seed, spawn_key=key).generate_state(1)
    return torch.Generator().manual_seed(int(word))
