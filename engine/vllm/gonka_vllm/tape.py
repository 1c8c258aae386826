"""The tape: the noise that sampling adds to logits, as in the Rust crate (primitives/src/tape.rs).

Everything is integers, so a processor and a GPU agree in every bit. Tensors are int64: sums and products wrap as
unsigned ones do, and `_shr` is the logical shift.
"""

import hashlib
from math import isqrt

import torch

#: One nat in the unit of noise and scores.
NAT = 1 << 16
#: A token whose score is this far below the best has weight 0: 32 ln 2 nats, in 2^-16 nats.
REACH = 1_453_634
#: The weight of the best token.
ONE = 1 << 32

_PHI = 0x9E37_79B9_7F4A_7C15
_LN_2 = 0xB172_17F7_D1CF_79AC
_LOG2_E = 0x1_7154_7653
_LOW = 0xFFFF_FFFF


def signed(n: int) -> int:
    """Returns the int64 that has the bits of a number of 64 bits."""
    return n - (1 << 64) if n >> 63 else n


def first_word(domain: bytes, *parts: bytes) -> int:
    """Returns the first eight bytes of the hash of all parts, little-endian, as an int64."""
    digest = hashlib.blake2b(b"".join((domain, *parts)), digest_size=32).digest()
    return signed(int.from_bytes(digest[:8], "little"))


def row_state(key: bytes, position: int) -> int:
    """Returns the generator's state for the token at `position`, counted from the prompt's first. `key`: 32 bytes."""
    return first_word(b"gonka/tape", key, position.to_bytes(4, "little"))


def _precise_log2(n: int) -> int:
    """Returns log2 in 2^-40 of a number in 2^-62 from 1 to below 2: a bit for every squaring."""
    log = 0
    for _ in range(40):
        n = (n * n) >> 62
        log <<= 1
        if n >= 1 << 63:
            n >>= 1
            log |= 1
    return log


def _exp2_table() -> list[int]:
    """Returns 2^(-i / 256) in 2^-32."""
    roots, root = [], 1 << 62
    for _ in range(8):
        root = isqrt(root << 63)
        roots.append(root)
    table = []
    for i in range(256):
        power = 1 << 63
        for k in range(8):
            if i >> (7 - k) & 1:
                power = (power * roots[k]) >> 63
        table.append((power + (1 << 30)) >> 31)
    return [*table, ONE // 2]


def _log2_table() -> list[int]:
    """Returns log2(1 + i / 512) in 2^-32."""
    return [*((_precise_log2((512 + i) << 53) + (1 << 7)) >> 8 for i in range(512)), ONE]


def _correction_table() -> list[int]:
    """Returns the logarithm of p / -ln(1 - p) at p = i / 1024, in 2^-32 nats."""
    table = [0]
    for i in range(1, 513):
        halvings = (1 << 40) - _precise_log2((1024 - i) << 53)
        ratio = ((halvings * (_LN_2 >> 4)) >> 38) * 1024 // i
        table.append(-((_precise_log2(ratio) * (_LN_2 >> 4)) >> 68))
    return table


_LOG2_INTEGERS = _log2_table()
_INTEGERS = (_exp2_table(), _LOG2_INTEGERS, _correction_table())
_TABLES = tuple(torch.tensor(table, dtype=torch.int64) for table in _INTEGERS)
_on_devices: dict = {}


def _tables(device) -> tuple:
    if device not in _on_devices:
        _on_devices[device] = tuple(table.to(device) for table in _TABLES)
    return _on_devices[device]


def _shr(x, n: int):
    return (x >> n) & ((1 << (64 - n)) - 1)


def mix(n):
    """Returns the finaliser of SplitMix64 of an int64 tensor of any shape."""
    n = (n ^ _shr(n, 30)) * signed(0xBF58_476D_1CE4_E5B9)
    n = (n ^ _shr(n, 27)) * signed(0x94D0_49BB_1331_11EB)
    return n ^ _shr(n, 31)


def stream(states, length: int):
    """Returns the generator's first words: states [rows] -> [rows, length]."""
    steps = torch.arange(1, length + 1, device=states.device, dtype=torch.int64)
    return mix(states[:, None] + steps * signed(_PHI))


def _nats(halvings):
    """Returns halvings * LN_2 / 2^64, rounded down, for 0 <= halvings < 2^38: the high word of the product."""
    high, low = halvings >> 32, halvings & _LOW
    ln2_high, ln2_low = _LN_2 >> 32, _LN_2 & _LOW
    # The bits of this product are right, its sign is not.
    cross = low * ln2_high
    other = high * ln2_low
    carry = (cross & _LOW) + (other & _LOW) + _shr(low * ln2_low, 32)
    return high * ln2_high + _shr(cross, 32) + _shr(other, 32) + (carry >> 32)


def _log2(n, table):
    """Returns log2 in 2^-32 of positive numbers below 2^53."""
    # A double holds these numbers exactly.
    top = torch.frexp(n.double()).exponent.long() - 1
    below = n - (torch.ones_like(n) << top)
    # 41 bits after the first one: 9 index the table, 32 are the way to its next entry.
    fraction = torch.where(top >= 41, below >> (top - 41).clamp_min(0), below << (41 - top).clamp_min(0))
    index = fraction >> 32
    low, high = table[index], table[index + 1]
    return (top << 32) + low + (((high - low) * (fraction & _LOW)) >> 32)


def gumbel(uniforms):
    """Returns -ln(-ln(1 - p)) for p = (uniform + 1/2) / 2^32, in 2^-16 nats. Any shape, values below 2^32."""
    _, log2, corrections = _tables(uniforms.device)
    is_low = uniforms < (1 << 31)
    odd = 2 * uniforms + 1
    exponential = _nats((33 << 32) - _log2(torch.where(is_low, odd, (1 << 33) - odd), log2))
    index = (uniforms >> 22).clamp_max(511)
    start, end = corrections[index], corrections[index + 1]
    of_low = exponential + start + (((end - start) * (uniforms & 0x3F_FFFF)) >> 22)
    halvings = (32 << 32) - _log2(exponential.clamp_min(1), log2)
    # Below 0, rounding down is rounding away from 0. No product is a whole number, so that is one less.
    of_high = torch.where(halvings < 0, -_nats(-halvings) - 1, _nats(halvings))
    return (torch.where(is_low, of_low, of_high) + (1 << 15)) >> 16


def weight(deficits):
    """Returns exp(-deficit) in 2^-32 for deficits of any shape in 2^-16 nats; 0 beyond REACH."""
    exp2 = _tables(deficits.device)[0]
    is_inside = deficits <= REACH
    # In 2^-48: a whole number of halvings, 8 bits that index the table, and the way to its next entry.
    bits = torch.where(is_inside, deficits, 0) * _LOG2_E
    index = (bits >> 40) & 255
    high, low = exp2[index], exp2[index + 1]
    between = ((high - low) * ((bits >> 8) & _LOW)) >> 32
    return torch.where(is_inside, (high - between) >> (bits >> 48), 0)


def ln(n: int) -> int:
    """Returns the natural logarithm of a number from 1 to below 2^64, in 2^-16 nats."""
    top = n.bit_length() - 1
    mantissa = n << (63 - top)
    index = mantissa >> 54 & 511
    low, high = _LOG2_INTEGERS[index], _LOG2_INTEGERS[index + 1]
    log2 = (top << 32) + low + (((high - low) * (mantissa >> 22 & _LOW)) >> 32)
    return (log2 * _LN_2) >> 80


def uniforms(states, vocabulary: int):
    """Returns the uniforms of all tokens: states [rows] -> [rows, vocabulary], values below 2^32."""
    words = stream(states, (vocabulary + 1) // 2)
    return torch.stack((words & _LOW, _shr(words, 32)), -1).flatten(1)[:, :vocabulary]


def noise(states, vocabulary: int):
    """Returns the noise of all tokens in 2^-16 nats: states [rows] -> [rows, vocabulary]."""
    return gumbel(uniforms(states, vocabulary))
