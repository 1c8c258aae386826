"""Checks of completions: vLLM reads prompt and completion once, and every token's logits are compared with it.

vLLM computes logits of a prompt's tokens only for `prompt_logprobs`, so the two model runners are extended where they
do. A check's prompt is prompt and completion without the last token, whose logits follow from the token before.
"""

import torch

from . import fingerprint, sampler, store, tape
from .request import Task, task_of

#: Number of rows of logits that are computed at a time, which bounds the memory.
ROWS = 64


def read(task: Task, prompt: list[int], start: int, hidden, logits_of) -> None:
    """Checks the tokens that come after each of some tokens, as far as they are the completion's.

    `prompt` is vLLM's: the task's prompt and its completion but for the last token. `start` is the position of the
    first of the hidden states [tokens, width]. `logits_of` computes logits from hidden states.
    """
    sequence = [*prompt, task.last]
    first = max(task.prompt_length, start + 1)
    last = min(len(sequence), start + 1 + hidden.shape[0])
    key = task.key_bytes
    signs = fingerprint.projection(key, hidden.shape[1], hidden.device)[None]
    for at in range(first, last, ROWS):
        positions = range(at, min(at + ROWS, last))
        rows = hidden[at - 1 - start : positions[-1] - start]
        prints = fingerprint.fingerprints(rows, signs).cpu().numpy()
        logits = logits_of(rows)
        if logits is None:
            # Another process has the logits.
            continue
        units = sampler.round_logits(logits)
        if task.sampling.penalises:
            seen = task.seen(sequence[:at])
            for row, position in enumerate(positions):
                sampler.penalise(units[row], task.sampling, seen)
                token = sequence[position]
                seen[token] = seen.get(token, 0) + 1
        states = torch.tensor([tape.row_state(key, position) for position in positions], device=units.device)
        tokens = torch.tensor([sequence[position] for position in positions], device=units.device)
        margins = sampler.margins(units, states, [task.sampling] * len(positions), tokens)
        for row, position in enumerate(positions):
            store.note_check(task.id, position, margins[row], prints[row].tobytes())


def extend_runners() -> None:
    """Makes both of vLLM's model runners read completions to check."""
    _extend_first_runner()
    _extend_second_runner()


def _extend_first_runner() -> None:
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    original = GPUModelRunner._get_prompt_logprobs_dict

    def get_prompt_logprobs_dict(self, hidden_states, num_scheduled_tokens):
        for id, count in num_scheduled_tokens.items():
            request = self.requests[id]
            task = task_of(request.sampling_params)
            if task is None or task.last is None:
                continue
            first = int(self.query_start_loc.np[self.input_batch.req_id_to_index[id]])
            rows = hidden_states[first : first + count]
            read(task, request.prompt_token_ids, request.num_computed_tokens, rows, self.model.compute_logits)
        return original(self, hidden_states, num_scheduled_tokens)

    GPUModelRunner._get_prompt_logprobs_dict = get_prompt_logprobs_dict


def _extend_second_runner() -> None:
    from vllm.v1.worker.gpu.sample.prompt_logprob import PromptLogprobsWorker

    add, remove = PromptLogprobsWorker.add_request, PromptLogprobsWorker.remove_request
    compute = PromptLogprobsWorker.compute_prompt_logprobs

    def add_request(self, req_id, req_idx, sampling_params):
        task = task_of(sampling_params)
        if task is not None and task.last is not None:
            self.__dict__.setdefault("gonka_tasks", {})[req_id] = task
        return add(self, req_id, req_idx, sampling_params)

    def remove_request(self, req_id):
        self.__dict__.get("gonka_tasks", {}).pop(req_id, None)
        return remove(self, req_id)

    def compute_prompt_logprobs(self, logits_fn, hidden_states, input_batch, all_token_ids, *others):
        tasks = self.__dict__.get("gonka_tasks", {})
        for at, id in enumerate(input_batch.req_ids if tasks else ()):
            task = tasks.get(id)
            if task is None:
                continue
            start = int(input_batch.num_computed_prefill_tokens_np[at])
            first, count = int(input_batch.query_start_loc_np[at]), int(input_batch.num_scheduled_tokens[at])
            slot = int(input_batch.idx_mapping_np[at])
            prompt = all_token_ids[slot, : int(input_batch.prefill_len_np[at])].tolist()
            read(task, prompt, start, hidden_states[first : first + count], logits_fn)
        return compute(self, logits_fn, hidden_states, input_batch, all_token_ids, *others)

    PromptLogprobsWorker.add_request = add_request
    PromptLogprobsWorker.remove_request = remove_request
    PromptLogprobsWorker.compute_prompt_logprobs = compute_prompt_logprobs
