"""State of a worker process: hidden states of the present step, and results until the API server takes them."""

from collections import deque

import torch

#: Steps whose fingerprints are kept if nobody takes them. A server takes those of its completions within a few steps.
MAX_STEPS = 4_096
#: Results of checks that are kept if nobody takes them, because the clients have hung up: one for each token.
MAX_RESULTS = 1 << 20

#: The last hidden states from which logits were computed: [rows, width].
hidden: torch.Tensor | None = None

_steps: deque = deque(maxlen=MAX_STEPS)
#: Results by request: position -> (margin, fingerprint).
_checks: dict[str, dict[int, tuple[int, bytes]]] = {}


def note(ids: list[str], positions: list[int], prints: torch.Tensor) -> None:
    """Notes the fingerprints of a step's tokens: int8 [rows, 16], on the device until they are taken."""
    _steps.append((ids, positions, prints))


def take_fingerprints() -> list[tuple[list[str], list[int], bytes]]:
    """Returns and forgets all fingerprints noted: request ids, positions, 16 bytes for each of these."""
    taken = []
    while _steps:
        ids, positions, prints = _steps.popleft()
        taken.append((ids, positions, prints.cpu().numpy().tobytes()))
    return taken


def note_check(id: str, position: int, margin: int, print: bytes) -> None:
    """Notes the result of a check for one token. A new check drives out the oldest ones if there are too many."""
    if id not in _checks:
        while sum(map(len, _checks.values())) >= MAX_RESULTS:
            del _checks[next(iter(_checks))]
    _checks.setdefault(id, {})[position] = (margin, print)


def take_check(id: str) -> list[tuple[int, int, bytes]]:
    """Returns and forgets the results of a check by position: position, margin, fingerprint."""
    return [(position, *result) for position, result in sorted(_checks.pop(id, {}).items())]


def extend_workers() -> None:
    """Gives vLLM's workers the two methods that the API server calls."""
    from vllm.v1.worker.worker_base import WorkerBase

    WorkerBase.gonka_take_fingerprints = lambda self: take_fingerprints()
    WorkerBase.gonka_take_check = lambda self, id: take_check(id)


def note_hidden_states() -> None:
    """Replaces vLLM's layer that computes logits by one that notes the hidden states it gets."""
    from vllm.model_executor.layers.logits_processor import LogitsProcessor

    @LogitsProcessor.register_oot
    class NotingLogitsProcessor(LogitsProcessor):
        def forward(self, lm_head, hidden_states, *args, **kwargs):
            global hidden
            hidden = hidden_states
            return super().forward(lm_head, hidden_states, *args, **kwargs)
