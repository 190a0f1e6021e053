"""What several test files share."""

import pytest
import torch

from dlreport import native


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def needs_native(precision: str) -> pytest.MarkDecorator:
    """Skip where the native engine cannot compute in this precision."""
    reason = native.why_unavailable(precision)
    return pytest.mark.skipif(reason is not None, reason=f"no native engine: {reason}")
