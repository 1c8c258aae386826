"""A second implementation of a Nano leaf, from the protocol's formulas alone: prints the known answers of vectors.rs.

Standard library only: `python3 tests/reference.py`.
"""

from hashlib import blake2b
from math import exp, floor, isqrt
from struct import pack, unpack

LAYERS, WIDTH, HEADS, FFN, VOCAB, TOKENS = 2, 64, 2, 128, 256, 16
SHIFT = {"q": 8, "k": 8, "v": 8, "o": 2, "gate": 8, "up": 7, "hidden": 5, "down": 2}
MATRIX = {name: m for m, name in enumerate(["embed", "pos_q", "pos_k", "q", "k", "v", "o", "gate", "up", "down"])}
EXP = [floor(127 * exp(-i / 5) + 0.5) for i in range(256)]
SILU = [min(31, floor(2 * g / (1 + exp(-g / 8)) + 0.5)) for g in range(-31, 32)]


def h(data):
    return blake2b(data, digest_size=32).digest()


def chacha8(key, length):
    """RFC 8439's block function with 8 rounds, nonce 0, counter from 0."""
    out, counter = b"", 0
    while len(out) < length:
        start = list(unpack("<4I", b"expand 32-byte k")) + list(unpack("<8I", key)) + [counter, 0, 0, 0]
        x = start[:]

        def quarter(a, b, c, d):
            for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) & 0xFFFFFFFF
                v = x[r] ^ x[p]
                x[r] = ((v << n) | (v >> (32 - n))) & 0xFFFFFFFF

        for _ in range(4):
            for i in range(4):
                quarter(i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start)))
        counter += 1
    return out[:length]


def row(seed, layer, matrix, index, columns):
    key = h(seed + pack("<HBI", layer, MATRIX[matrix], index))
    return [((63 * b) >> 8) - 31 for b in chacha8(key, columns)]


def clamp(z):
    return max(-31, min(31, z))


def requant(z, s):
    return clamp((z + (1 << (s - 1))) >> s)


def norm(x):
    root = max(1, isqrt(sum(v * v for v in x) // len(x)))
    return [clamp((16 * v) // root) for v in x]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def forward(seed, tokens):
    x = [[16 * w for w in row(seed, 0, "embed", token, WIDTH)] for token in tokens]
    blocks = [pack(f"<{WIDTH}i", *v) for v in x]

    def keep(rows, kind="b"):
        blocks.extend(pack(f"<{len(v)}{kind}", *v) for v in rows)

    for layer in range(LAYERS):
        shapes = {"pos_q": (TOKENS, WIDTH), "pos_k": (TOKENS, WIDTH), "gate": (FFN, WIDTH), "up": (FFN, WIDTH),
                  "down": (WIDTH, FFN), **{name: (WIDTH, WIDTH) for name in "qkvo"}}
        w = {name: [row(seed, layer, name, r, c) for r in range(n)] for name, (n, c) in shapes.items()}

        def product(name, rows):
            return [[dot(weights, v) for weights in w[name]] for v in rows]

        def enter(name, rows):
            for t, values in enumerate(product(name, rows)):
                for c, z in enumerate(values):
                    x[t][c] = max(-(1 << 15), min(1 << 15, x[t][c] + (z >> SHIFT[name])))

        n = [norm(v) for v in x]
        q, k, v = ([[requant(z, SHIFT[name]) for z in zs] for zs in product(name, n)] for name in "qkv")
        q = [[requant(a + b, 1) for a, b in zip(*pair)] for pair in zip(q, w["pos_q"])]
        k = [[requant(a + b, 1) for a, b in zip(*pair)] for pair in zip(k, w["pos_k"])]
        attended = [[0] * WIDTH for _ in range(TOKENS)]
        scores = [[] for _ in range(TOKENS)]
        for start in range(0, WIDTH, WIDTH // HEADS):
            head = slice(start, start + WIDTH // HEADS)
            for t in range(TOKENS):
                u = [dot(q[t][head], k[j][head]) >> 7 for j in range(t + 1)]
                scores[t] += u + [0] * (TOKENS - t - 1)
                e = [EXP[max(0, min(255, max(u) - s))] for s in u]
                for c in range(start, start + WIDTH // HEADS):
                    attended[t][c] = clamp((2 * sum(e[j] * v[j][c] for j in range(t + 1))) // sum(e))
        for rows in (n, q, k, zip(*v)):
            keep(rows)
        keep(scores, "h")
        keep(attended)
        enter("o", attended)
        keep(x, "i")

        n = [norm(v) for v in x]
        gate, up = ([[requant(z, SHIFT[name]) for z in zs] for zs in product(name, n)] for name in ("gate", "up"))
        hidden = [[requant(SILU[g + 31] * u, SHIFT["hidden"]) for g, u in zip(*pair)] for pair in zip(gate, up)]
        for rows in (n, gate, up, hidden):
            keep(rows)
        enter("down", hidden)
        keep(x, "i")
    keep([norm(x[-1])])
    return norm(x[-1]), blocks


def fold(level):
    while len(level) > 1:
        level = [h(b"\x01" + left + right) for left, right in zip(level[::2], level[1::2])]
    return level[0]


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def committee(beacon, weights, participants, participant):
    size, total = 12 * min(participants, 64 * (sum(weights) // max(weights))), sum(weights)
    keys = unpack("<8Q", chacha8(h(b"gonka/sprint/committee" + beacon), 64))
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    members = []
    for seat in range(12 * participant, 12 * participant + 12):
        while True:
            left, right = seat >> half, seat & mask
            for key in keys:
                left, right = right, left ^ (mix(right ^ key) & mask)
            seat = left << half | right
            if seat < size:
                break
        member = next(i for i in range(len(weights)) if seat < size * sum(weights[: i + 1]) // total)
        if member not in members:
            members.append(member)
    return members[:9]


def refuters(beacon, weights, parties):
    draws, appointed = iter(unpack("<512Q", chacha8(h(b"gonka/sprint/refuters" + beacon), 4096))), []
    last = sum(weights) - 1
    for _ in range(96):
        while (draw := next(draws) & ((1 << last.bit_length()) - 1)) > last:
            pass
        checker = next(i for i in range(len(weights)) if draw < sum(weights[: i + 1]))
        if checker not in parties and len(appointed) < 24:
            appointed.append(checker)
    return sorted(set(appointed))


def merkle_root(leaves):
    count, level = len(leaves), leaves or [bytes(32)]
    while len(level) > 1:
        level = [h(b"\x01" + b"".join(level[i:i + 2])) if i + 1 < len(level) else level[i]
                 for i in range(0, len(level), 2)]
    return h(b"gonka/sprint/root" + pack("<Q", count) + level[0])


def commitment(lanes):
    """Of [(count, root)] by lane."""
    level = [(n, h(b"gonka/sprint/lane" + pack("<HQ", lane, n) + root)) for lane, (n, root) in enumerate(lanes)]
    while len(level) > 1:
        level = [(level[i][0] + level[i + 1][0], h(b"gonka/sprint/lanes" + b"".join(
            pack("<Q", n) + node for n, node in level[i:i + 2]))) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)]
    return h(b"gonka/sprint/commitment" + pack("<IQ", len(lanes), level[0][0]) + level[0][1])


def sample(beacon, host, number, segment, count, n):
    key = h(b"gonka/sprint/sample" + beacon + host + pack("<IBQ", number, segment, count))
    draws, chosen = iter(unpack("<512Q", chacha8(key, 4096))), set()
    for last in range(max(0, count - n), count):
        while (draw := next(draws) & ((1 << last.bit_length()) - 1)) > last:
            pass
        chosen.add(last if draw in chosen else draw)
    return sorted(chosen)


def main():
    host, epoch, segment, lane, index = bytes([4] * 32), 7, 3, 5, 0
    seed1 = h(b"gonka/sprint/model" + bytes([1] * 32) + pack("<IB", epoch, 0) + bytes([2] * 32))
    seed2 = h(b"gonka/sprint/segment" + seed1 + bytes([segment]) + bytes([3] * 32))
    key = h(b"gonka/sprint/input" + seed2 + host + pack("<HQ", lane, index))
    tokens = [t % VOCAB for t in unpack(f"<{TOKENS}I", chacha8(key, 4 * TOKENS))]
    output, blocks = forward(seed1, tokens)
    signed = bytes(v & 255 for v in output)
    leaf = h(b"\x00" + host + pack("<IBHQ", epoch, segment, lane, index) + signed)
    hashes = [h(b"gonka/sprint/block" + pack("<I", i) + block) for i, block in enumerate(blocks)]
    end = TOKENS + 11 * TOKENS + WIDTH
    depth = (len(blocks) - 1).bit_length()
    root = fold(hashes + [bytes(32)] * (2**depth - len(blocks)))
    print("seed1  ", seed1.hex())
    print("seed2  ", seed2.hex())
    print("row    ", bytes(v & 255 for v in row(seed1, 1, "down", 5, FFN)).hex())
    print("tokens ", bytes(tokens).hex())
    print("output ", signed.hex())
    print("leaf   ", leaf.hex())
    print("digest ", fold(hashes[end - TOKENS:end]).hex())
    print("trace  ", root.hex())
    print("empty  ", merkle_root([]).hex())
    print("lanes  ", commitment([(100, bytes(32)), (20, bytes([1] * 32)), (3, bytes([2] * 32))]).hex())
    print("sample ", sample(bytes([1] * 32), bytes([2] * 32), 3, 4, 1_000_000, 4))
    print("tag    ", h(b"gonka/sprint/digests" + bytes([1] * 32) + bytes([2] * 32))[:4].hex())
    draws = unpack("<64Q", chacha8(h(b"gonka/sprint/layer" + bytes([6] * 32)), 512))
    print("layer  ", 6 + next(draw & 15 for draw in draws if draw & 15 < 12))
    for participant in (0, 399):
        print("members", committee(bytes([6] * 32), [i % 5 for i in range(20)], 400, participant))
    print("refuters", refuters(bytes([6] * 32), [i % 5 for i in range(60)], (14, 19)))


if __name__ == "__main__":
    main()
