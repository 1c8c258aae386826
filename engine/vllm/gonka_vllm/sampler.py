"""The choice of a token from logits, and the margin of a token, as in the Rust crate (primitives/src/sampler.rs).

Logits are int64 tensors [rows, vocabulary] in 2^-6 nats. Rows have sampling parameters of their own.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch

from . import margin, tape

#: Units of logits in a nat.
LOGIT_NAT = 64
#: Maximum magnitude of a logit: 2^14 nats.
MAX_LOGIT = 1 << 20
#: The whole of which top_p and min_p are shares.
MILLION = 1_000_000
#: Maximum temperature, in thousandths. Higher ones count as this one.
MAX_TEMPERATURE = 100_000

_MAX_DEFICIT = (1 << 32) - 1
_MIN_SCORE = -(1 << 31)
_EXCLUDED = -(1 << 40)
#: Number of tokens of a row whose scores are computed exactly, after a rough computation of all.
_FEW = 16
#: Nats between the best and the last of these at which the rough computation, off by less than 10^-3, is enough.
_ENOUGH = 0.01
#: Number of logits that are computed at a time, which bounds the memory.
_AT_A_TIME = 1 << 22


@dataclass(frozen=True)
class SamplingParams:
    """The sampling parameters of a request, as integers."""

    #: Temperature in thousandths; 0 always chooses the likeliest token.
    temperature: int = 1000
    #: Maximum number of tokens to choose from; 0 for all.
    top_k: int = 0
    #: top-p in millionths.
    top_p: int = MILLION
    #: min-p in millionths.
    min_p: int = 0
    #: Repetition penalty in thousandths; 1000 for none.
    repetition: int = 1000
    #: Presence penalty in 10^-3 nats.
    presence: int = 0
    #: Frequency penalty in 10^-3 nats.
    frequency: int = 0

    @property
    def is_greedy(self) -> bool:
        """Whether the largest logit decides."""
        return self.temperature == 0 or self.top_k == 1

    @property
    def filters(self) -> bool:
        """Whether top-k, top-p or min-p may exclude tokens."""
        return not self.is_greedy and (self.top_k != 0 or self.top_p < MILLION or self.min_p != 0)

    @property
    def penalises(self) -> bool:
        """Whether there are penalties."""
        return (self.repetition, self.presence, self.frequency) != (1000, 0, 0)

    @property
    def divisor(self) -> int:
        """The temperature of the scores in thousandths. Greedy choice at temperature 0 uses temperature 1."""
        return min(self.temperature, MAX_TEMPERATURE) or 1000

    @property
    def scale(self) -> int:
        """2^24 over the temperature."""
        return (1000 << 24) // self.divisor

    def in_logits(self, scores: int) -> int:
        """Returns a difference of scores in logits, both in 2^-16 nats, rounded up; at most 2^32 - 1."""
        return min(-(-max(scores, 0) * self.divisor // 1000), margin.MAX_MARGIN)


def round_logits(logits):
    """Rounds floats of any shape to 2^-6 nats, ties to even, and clamps them; NaN becomes the lowest value."""
    units = logits.float() * LOGIT_NAT
    return units.nan_to_num(-MAX_LOGIT, MAX_LOGIT, -MAX_LOGIT).clamp(-MAX_LOGIT, MAX_LOGIT).round().long()


def penalise(row, sampling: SamplingParams, seen: dict[int, int]) -> None:
    """Applies the penalties in place to a row [vocabulary]. `seen` has each token of prompt and completion with its
    count in the completion."""
    tokens = [token for token in seen if token < row.shape[0]]
    index = torch.tensor(tokens, dtype=torch.int64, device=row.device)
    counts = [seen[token] for token in tokens]
    repetition = max(sampling.repetition, 1)

    def divide(a, b: int):
        return torch.div(a, b, rounding_mode="trunc")

    def change(count: int) -> int:
        # Python's integers, since the product may exceed 64 bits.
        units = (sampling.presence + sampling.frequency * count) * LOGIT_NAT
        return max(-(1 << 40), min(1 << 40, abs(units) // 1000 * (1 if units > 0 else -1))) if count else 0

    logits = row[index]
    logits = torch.where(logits > 0, divide(logits * 1000, repetition), divide(logits * repetition, 1000))
    logits -= torch.tensor([change(count) for count in counts], dtype=torch.int64, device=row.device)
    row[index] = logits.clamp(-MAX_LOGIT, MAX_LOGIT)


@lru_cache(maxsize=64)
def _weights(scale: int, min_p: int, device) -> torch.Tensor:
    """Returns the weight of a token by its distance from the largest logit, as far as min-p keeps it."""
    distance = -(-((tape.REACH + 1) << 14) // scale) - 1
    distances = torch.arange(min(distance, 2 * MAX_LOGIT) + 1)
    weights = tape.weight((distances * scale) >> 14)
    # Weights never rise with the distance.
    kept = int((weights * MILLION >= min(min_p, MILLION) * tape.ONE).sum())
    return weights[:kept].to(device)


@dataclass
class Filter:
    """Tokens of a row by their distance from the largest logit. All tensors are int64 [distances]."""

    weights: torch.Tensor
    #: The number of tokens.
    counts: torch.Tensor
    #: The number of these that top-k keeps.
    stay: torch.Tensor
    #: Whether each token is excluded: [vocabulary].
    excluded: torch.Tensor
    #: The largest distance that is kept: [1].
    end: torch.Tensor


def filtered(distance, sampling: SamplingParams) -> Filter:
    """Applies min-p, top-k and top-p to a row of distances [vocabulary]. Counting replaces sorting."""
    weights = _weights(sampling.scale, sampling.min_p, distance.device)
    length = weights.shape[0]
    index = distance.clamp_max(length)
    counts = torch.zeros(length + 1, dtype=torch.int64, device=distance.device)
    counts = counts.scatter_add_(0, index, torch.ones_like(index))[:length]
    reached = counts.cumsum(0)
    if sampling.top_k:
        reached = reached.clamp_max(sampling.top_k)
    stay = reached.diff(prepend=reached.new_zeros(1))
    sums = (stay * weights).cumsum(0)
    share = min(sampling.top_p, MILLION)
    whole, rest = sums[-1:] // MILLION, sums[-1:] % MILLION
    needed = (whole * share + (rest * share + MILLION - 1) // MILLION).clamp_min(1)
    before = sums - stay * weights
    order = torch.arange(length, device=distance.device)
    end = torch.where((stay > 0) & (before < needed), order, 0).amax(0, keepdim=True)
    least = weights[end].clamp_min(1)
    taken = ((needed - before[end] + least - 1) // least).minimum(stay[end])
    at_end = distance == end
    excluded = (distance > end) | (at_end & (at_end.cumsum(0) > taken))
    return Filter(weights, counts, stay, excluded, end)


class _Rows:
    """Rows of logits with the tokens that may be chosen and their noise."""

    def __init__(self, logits, states, samplings: list[SamplingParams]):
        device = logits.device
        self.samplings = samplings
        self.largest = logits.amax(1, keepdim=True)
        self.distance = self.largest - logits
        scale = torch.tensor([s.scale for s in samplings], dtype=torch.int64, device=device)[:, None]
        self.is_greedy = torch.tensor([s.is_greedy for s in samplings], device=device)[:, None]
        self.deficit = ((self.distance * scale) >> 14).clamp_max(_MAX_DEFICIT)
        self.excluded = self.deficit > tape.REACH
        self.filters = {i: filtered(self.distance[i], s) for i, s in enumerate(samplings) if s.filters}
        for i, row in self.filters.items():
            self.excluded[i] = row.excluded
        self.uniforms = tape.uniforms(states, logits.shape[1])

    def scores(self, tokens):
        """Returns the scores of tokens [rows, n] in 2^-16 nats, whether they are excluded or not."""
        noise = torch.where(self.is_greedy, 0, tape.gumbel(self.uniforms.gather(1, tokens)))
        return (noise - self.deficit.gather(1, tokens)).clamp_min(_MIN_SCORE)

    def best(self):
        """Returns the best token of each row, and its score: [rows], [rows]."""
        vocabulary = self.distance.shape[1]
        order = torch.arange(vocabulary, device=self.distance.device)
        likeliest = torch.where(self.distance == 0, order, vocabulary).amin(1)
        if all(s.is_greedy for s in self.samplings):
            return likeliest, torch.zeros_like(likeliest)
        rough = _rough(self.uniforms) - self.deficit.float() / tape.NAT
        rough = rough.masked_fill(self.excluded, float("-inf"))
        near, tokens = rough.topk(min(_FEW, vocabulary), dim=1)
        is_close = (near[:, :1] - near[:, -1:] < _ENOUGH) & ~self.is_greedy
        if vocabulary > _FEW and bool(is_close.any()):
            tokens = order.expand(self.distance.shape[0], -1)
        scores = self.scores(tokens).masked_fill(self.excluded.gather(1, tokens), _EXCLUDED)
        score = scores.amax(1, keepdim=True)
        chosen = torch.where(scores == score, tokens, vocabulary).amin(1)
        is_greedy = self.is_greedy[:, 0]
        return torch.where(is_greedy, likeliest, chosen), torch.where(is_greedy, 0, score[:, 0])


def _rough(uniforms):
    """Returns the noise in nats, off by less than 10^-3 where it may win."""
    p = (uniforms.float() + 0.5) * 2.0**-32
    return -torch.log(-torch.log1p(-p.clamp_max(1 - 2.0**-24)))


def _chunks(logits) -> list[slice]:
    rows, vocabulary = logits.shape
    step = max(1, _AT_A_TIME // vocabulary)
    return [slice(at, at + step) for at in range(0, rows, step)]


def choose(logits, states, samplings: list[SamplingParams]):
    """Returns the tokens that are due: logits [rows, vocabulary], states [rows] -> [rows].

    Logits are rounded and penalised; `states` are those of `tape.row_state`.
    """
    return torch.cat([_Rows(logits[part], states[part], samplings[part]).best()[0] for part in _chunks(logits)])


def margins(logits, states, samplings: list[SamplingParams], tokens) -> list[int]:
    """Returns how far differences between logits have to be off for each row's token [rows] to be due, in 2^-16 nats:
    0 if it is due, `margin.MAX_MARGIN` for a token outside the vocabulary."""
    found = []
    for part in _chunks(logits):
        found += _margins(_Rows(logits[part], states[part], samplings[part]), tokens[part])
    return found


def _margins(rows: _Rows, tokens) -> list[int]:
    vocabulary = rows.distance.shape[1]
    is_known = (tokens < vocabulary).tolist()
    index = torch.where(tokens < vocabulary, tokens, 0)[:, None]
    best = rows.best()[1].tolist()
    own = rows.scores(index)[:, 0].tolist()
    distances = rows.distance.gather(1, index)[:, 0].tolist()
    is_excluded = (rows.excluded.gather(1, index) & ~rows.is_greedy)[:, 0].tolist()
    found = []
    for i, sampling in enumerate(rows.samplings):
        lead = sampling.in_logits(best[i] - own[i])
        if not is_known[i]:
            found.append(margin.MAX_MARGIN)
        elif i not in rows.filters:
            reach = _weights(sampling.scale, 0, tokens.device).shape[0] - 1
            found.append(max(lead, max(margin.way(reach, distances[i]), 1) if is_excluded[i] else 0))
        elif lead == 0 and not is_excluded[i]:
            found.append(0)
        else:
            found.append(_filtered_margin(rows, i, own[i], distances[i], is_excluded[i]))
    return found


def _filtered_margin(rows: _Rows, i: int, own: int, distance: int, is_excluded: bool) -> int:
    """Returns the margin of a token that is not due in a row with filters."""
    sampling, row = rows.samplings[i], rows.filters[i]
    # No logit is farther than the lowest possible one, and few distances have tokens.
    length = min(row.weights.shape[0], int(rows.largest[i]) + MAX_LOGIT + 1)
    used = int(row.counts.nonzero()[-1]) + 1
    ends = margin.Ends(sampling, length, *(part[:used].tolist() for part in (row.weights, row.counts, row.stay)))
    kept = (~row.excluded).nonzero()[:, 0]
    noise = tape.gumbel(rows.uniforms[i, kept])
    scores = (noise - rows.deficit[i, kept]).clamp_min(_MIN_SCORE)
    # Of the tokens at one distance, the one with the largest score decides.
    others, places = rows.distance[i, kept].unique(return_inverse=True)
    best = torch.full_like(others, _MIN_SCORE).scatter_reduce(0, places, scores, "amax")
    found = ends.enter(distance) if is_excluded else 0
    for other, score in zip(others.tolist(), best.tolist()):
        lead = sampling.in_logits(score - own)
        if lead > found:
            found = max(found, min(lead, ends.leave(other)))
    return found
