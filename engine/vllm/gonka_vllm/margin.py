"""The margins at which filters let a token in or out, as in the Rust crate (primitives/src/sampler.rs).

If no difference between two logits is off by more than m, the i-th largest logit is off by at most m / 2. So a token
only changes its order with tokens within m, and the odds of the first i tokens against the others change by at most
the factor exp(m / temperature).
"""

from collections.abc import Callable
from itertools import accumulate

from . import tape

#: Maximum margin. A token outside the vocabulary has this margin.
MAX_MARGIN = (1 << 32) - 1

_MILLION = 1_000_000
_UNITS = tape.NAT // 64
#: Odds against nothing, and of nothing: the extreme numbers of 64 bits.
_ALL, _NONE = (1 << 63) - 1, -(1 << 63)


def way(near: int, far: int) -> int:
    """Returns how much farther the distance `far` is, in 2^-16 nats. Distances are in units of logits."""
    return min(max(far - near, 0) * _UNITS, MAX_MARGIN)


def _odds(part: int, rest: int) -> int:
    """Returns the logarithm of odds in 2^-16 nats."""
    if part == 0:
        return _NONE
    return _ALL if rest == 0 else tape.ln(part) - tape.ln(rest)


def _share_odds(share: int) -> int:
    """Returns the odds of a share in millionths. The first token is kept even if the share is 0."""
    share = min(max(share, 1), _MILLION)
    return _odds(share, _MILLION - share)


def _first(start: int, end: int, holds: Callable[[int], bool]) -> int:
    """Returns the first number of a range for which `holds`, which then holds for all after it; `end` if none."""
    while start < end:
        middle = (start + end) // 2
        if holds(middle):
            end = middle
        else:
            start = middle + 1
    return start


class Ends:
    """The margins at which a token enters or leaves the set of tokens that the filters keep: at least 1, in 2^-16 nats
    of logits. `length` is the number of distances that min-p keeps. The lists have an entry for each of these up to the
    last one that has tokens: weight, number of tokens, number of these that top-k keeps."""

    def __init__(self, sampling, length: int, weights: list[int], counts: list[int], stay: list[int]):
        self.sampling = sampling
        self.stay = stay
        self.length = length
        #: Sums of the weights of the tokens nearer than each distance, and last the sum of all.
        self.nearer = [0, *accumulate(s * w for s, w in zip(stay, weights))]
        #: The same sums, including the tokens at the distance except the last of them.
        self.but_one = []
        last = 0
        for n, w, after in zip(stay, weights, self.nearer[1:]):
            last = w if n > 0 else last
            self.but_one.append(max(after - last, 0))
        self.excludes = next((d for d in range(len(counts)) if counts[d] > stay[d]), None)

    def _off(self, high: int, low: int) -> int:
        """Returns how far logits have to be off for the odds `high` to become `low`."""
        return self.sampling.in_logits(min(max(high - low, _NONE), _ALL))

    def _sum(self, sums: list[int], distance: int) -> int:
        """Returns the odds of the sum at a distance."""
        part = sums[min(distance, len(sums) - 1)] if sums else 0
        return _odds(part, max(self.nearer[-1] - part, 0))

    def enter(self, distance: int) -> int:
        """Returns the margin at which an excluded token at this distance is kept."""
        by_min_p = way(max(self.length - 1, 0), distance)
        by_top_k = 0
        if self.sampling.top_k > 0 and sum(self.stay) == self.sampling.top_k:
            last = next((d for d in reversed(range(len(self.stay))) if self.stay[d] > 0), None)
            by_top_k = 0 if last is None else way(last, distance)
        share = _share_odds(self.sampling.top_p)

        def beyond(near: int) -> int:
            return self._off(self._sum(self.nearer, near), share)

        # The token comes before all but those that are nearer by more than m. The farther these reach, the smaller is
        # m, but the larger it has to be to make up for their sum.
        near = _first(0, distance, lambda near: beyond(near) >= way(near, distance))
        before = way(near - 1, distance) if near > 0 else MAX_MARGIN
        return max(by_min_p, by_top_k, min(max(beyond(near), way(near, distance)), before), 1)

    def leave(self, distance: int) -> int:
        """Returns the margin at which a kept token at this distance is excluded."""
        share = _share_odds(self.sampling.top_p)

        def within(far: int) -> int:
            return self._off(share, self._sum(self.but_one, far))

        # The token comes after all that are farther by at most m: the mirror image of `enter`.
        far = _first(distance, self.length, lambda far: way(distance, far) >= within(far))
        by_top_p = way(distance, far) if far < self.length else MAX_MARGIN
        before = within(far - 1) if far > distance else MAX_MARGIN
        by_top_k = MAX_MARGIN if self.excludes is None else way(distance, self.excludes)
        return max(min(way(distance, self.length), by_top_k, by_top_p, before), 1)
