"""Named, independent random streams. No draw from one changes another, and none touches torch's global state."""

import hashlib

import numpy as np
import torch


def stream(seed: int, *name: str | int) -> torch.Generator:
    """Return a CPU generator for the use called `name`, e.g. stream(2023, "sequence", "LSTM-20", 0, "data").

    The name's SHA-256 becomes the spawn key of a SeedSequence, so streams are independent of each other and of how
    many there are. The generator is always on the CPU, so a run draws the same numbers on any device.
    """
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    key = tuple(np.frombuffer(digest, dtype="<u4").tolist())
    (word,) = np.random.SeedSequence(seed, spawn_key=key).generate_state(1)
    return torch.Generator().manual_seed(int(word))
