"""The logits processor that leaves of each row only the token that is due on the tape."""

import torch
from vllm.v1.sample.logits_processor.interface import LogitsProcessor as RowProcessor, MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor as SlotProcessor

from . import fingerprint, sampler, store, tape
from .request import Task, task_of


#: Completions that left the batch whose last tokens are kept, in case they come back.
_MAX_LEFT = 1_024


class _Running:
    """A completion that is being generated."""

    def __init__(self, task: Task, prompt: list[int] | None, output: list[int] | None):
        self.task = task
        self.key = task.key_bytes
        self.signs: torch.Tensor | None = None
        # vLLM's own lists, of which the second one grows: no copies.
        self.prompt = [] if prompt is None else prompt
        self.output = [] if output is None else output
        #: Tokens chosen here since the last count: vLLM's list has -1 for a token that the host does not know yet.
        self.chosen: dict[int, torch.Tensor] = {}
        self.counts: dict[int, int] = {}
        self.counted = 0

    def position(self) -> int:
        return len(self.prompt) + len(self.output)

    def tokens(self, start: int) -> list[int]:
        """Returns the tokens of prompt and completion from position `start` on."""
        length = len(self.prompt)
        tokens = self.prompt[start:] + self.output[max(start - length, 0) :]
        return [token if token >= 0 else int(self.chosen[at]) for at, token in enumerate(tokens, start)]

    def seen(self, tokens: list[int]) -> dict[int, int]:
        """Counts the tokens that follow those counted before, and returns all counts for penalties."""
        self.task.count(tokens, self.counted, self.counts)
        self.counted += len(tokens)
        self.chosen.clear()
        return self.counts


class TapeProcessor(RowProcessor, SlotProcessor):
    """One class for both of vLLM's interfaces.

    The first model runner numbers requests by the rows of its batch, and tells which rows were added, removed and
    moved. The second one numbers them by slots, and says with each step which slot a row belongs to.
    """

    def __init__(self, vllm_config, device_or_states, is_pin_memory=None):
        #: Token ids by slot, of the second model runner only.
        self.states = None if isinstance(device_or_states, torch.device) else device_or_states
        self.running: dict[int, _Running] = {}
        #: Tokens chosen for completions that left the batch, by request.
        self.left: dict[str, dict[int, torch.Tensor]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update) -> None:
        """Follows the rows of the first model runner."""
        if not batch_update:
            return
        for row in batch_update.removed:
            self._leave(row)
        for row, params, prompt, output in batch_update.added:
            self._add(row, params, prompt, output)
        for start, end, direction in batch_update.moved:
            first, second = self.running.pop(start, None), self.running.pop(end, None)
            if first:
                self.running[end] = first
            if second and direction == MoveDirectionality.SWAP:
                self.running[start] = second

    def add_request(self, req_idx: int, sampling_params) -> bool:
        """Takes a slot of the second model runner."""
        return self._add(req_idx, sampling_params, None, None)

    def _add(self, index: int, params, prompt, output) -> bool:
        self._leave(index)
        task = task_of(params)
        # A check needs no token.
        if task is None or task.last is not None:
            return False
        self.running[index] = _Running(task, prompt, output)
        self.running[index].chosen = self.left.pop(task.id, {})
        return True

    def _leave(self, index: int) -> None:
        running = self.running.pop(index, None)
        if running is not None and running.chosen:
            self.left[running.task.id] = running.chosen
            while len(self.left) > _MAX_LEFT:
                del self.left[next(iter(self.left))]

    def _rows(self, count: int, ctx) -> list[tuple[int, _Running, int, int]]:
        """Returns row, completion, position and slot of each token to choose."""
        if ctx is None:
            return [(row, r, r.position(), row) for row, r in self.running.items() if row < count]
        # These lengths are exact without speculative decoding, which is refused.
        slots, lengths = ctx.idx_mapping_np.tolist(), ctx.seq_lens_upper_bound_np.tolist()
        both = enumerate(zip(slots, lengths))
        return [(row, self.running[slot], length, slot) for row, (slot, length) in both if slot in self.running]

    def _seen(self, running: _Running, position: int, slot: int) -> dict[int, int]:
        if self.states is None:
            return running.seen(running.tokens(running.counted))
        return running.seen(self.states.all_token_ids.gpu[slot, running.counted : position].tolist())

    def apply(self, logits: torch.Tensor, ctx=None) -> torch.Tensor:
        """Leaves the tokens that are due: [rows, vocabulary], in place. Notes their fingerprints."""
        rows = self._rows(logits.shape[0], ctx) if self.running else []
        if not rows:
            return logits
        device = logits.device
        index = torch.tensor([row for row, *_ in rows], device=device)
        units = sampler.round_logits(logits[index])
        for at, (_, running, position, slot) in enumerate(rows):
            if running.task.sampling.penalises:
                sampler.penalise(units[at], running.task.sampling, self._seen(running, position, slot))
        states = [tape.row_state(running.key, position) for _, running, position, _ in rows]
        samplings = [running.task.sampling for _, running, *_ in rows]
        chosen = sampler.choose(units, torch.tensor(states, device=device), samplings)
        for at, (_, running, position, _) in enumerate(rows):
            if self.states is None and running.task.sampling.penalises:
                running.chosen[position] = chosen[at]
        self._note(rows, index, logits.shape[0])
        logits[index] = float("-inf")
        logits[index, chosen] = 0.0
        return logits

    def _note(self, rows, index, count: int) -> None:
        hidden = store.hidden
        if hidden is None or hidden.shape[0] < count:
            return
        for _, running, *_ in rows:
            if running.signs is None:
                running.signs = fingerprint.projection(running.key, hidden.shape[1], hidden.device)
        signs = torch.stack([running.signs for _, running, *_ in rows])
        prints = fingerprint.fingerprints(hidden[:count][index], signs)
        store.note([r.task.id for _, r, *_ in rows], [position for _, _, position, _ in rows], prints)
