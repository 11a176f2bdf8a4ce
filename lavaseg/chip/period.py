"""The steps from one sample to the next on Loihi 2, which resets neurons at powers of two only."""

from __future__ import annotations


def padded(steps: int) -> int:
    """The least power of two that is at least `steps`: a sample of T steps takes so many there.

    The steps behind the T-th are silent. (Source: lava-dl,
    tutorials/lava/lib/dl/netx/mnist/run.ipynb: T = 20 becomes 32.)
    """
    return 1 << (steps - 1).bit_length()
