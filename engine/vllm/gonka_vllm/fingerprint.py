"""Fingerprints of hidden states, as in the Rust crate (primitives/src/fingerprint.rs)."""

import torch

from . import tape

#: The bytes' steps in one standard deviation of the projection.
SCALE = 32.0


def projection(key: bytes, width: int, device="cpu"):
    """Returns the signs of the projection on the tape with `key` (32 bytes): float32 [width, 16] of 1 and -1."""
    state = torch.tensor([tape.first_word(b"gonka/fingerprint", key)], dtype=torch.int64)
    words = tape.stream(state, (width + 3) // 4)[0]
    quarters = (words[:, None] >> torch.arange(0, 64, 16)).flatten()[:width]
    bits = (quarters[:, None] >> torch.arange(16)) & 1
    return (1 - 2 * bits).float().to(device)


def fingerprints(hidden, signs):
    """Returns the fingerprints of hidden states: [rows, width], [rows or 1, width, 16] -> int8 [rows, 16]."""
    hidden = hidden.float()
    projected = torch.einsum("rw,rwk->rk", hidden, signs.expand(hidden.shape[0], -1, -1))
    factor = SCALE / hidden.square().sum(1, keepdim=True).sqrt()
    return (projected * factor).round().clamp(-128, 127).nan_to_num(0.0).to(torch.int8)
