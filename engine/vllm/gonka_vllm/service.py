"""Generation and checks by vLLM's engine, from the process that serves HTTP."""

import asyncio
import uuid

import vllm
from vllm.sampling_params import RequestOutputKind, SamplingParams

from . import PROTOCOL, __version__
from .body import CheckBody, GenerateBody
from .request import Task
from .vocabulary import end_ids, token_bytes


class Missing(RuntimeError):
    """The workers did not compute what they had to: a fault of this package or of vLLM."""


class Collector:
    """Fingerprints of running completions. One call to the workers takes those of all completions."""

    def __init__(self, engine):
        self._engine = engine
        self._found: dict[str, dict[int, bytes]] = {}
        self._lock = asyncio.Lock()

    def open(self, id: str) -> None:
        """Begins to keep the fingerprints of a completion."""
        self._found[id] = {}

    def close(self, id: str) -> None:
        """Forgets a completion."""
        self._found.pop(id, None)

    async def take(self, id: str, positions: range) -> list[bytes]:
        """Returns the fingerprints at some positions, whose tokens have been reported. Raises `Missing`."""
        found = self._found[id]
        # Another completion's call may have brought them in the meantime.
        async with self._lock:
            if any(position not in found for position in positions):
                await self._fetch()
        try:
            return [found.pop(position) for position in positions]
        except KeyError:
            raise Missing("a token has no fingerprint") from None

    async def _fetch(self) -> None:
        for steps in await self._engine.collective_rpc("gonka_take_fingerprints"):
            for ids, positions, prints in steps:
                for at, (id, position) in enumerate(zip(ids, positions)):
                    # A prompt that is read in parts gives a fingerprint for each: the last one counts.
                    if id in self._found:
                        self._found[id][position] = bytes(prints[16 * at : 16 * at + 16])


class Service:
    """The engine with what the routes tell of it."""

    def __init__(self, engine):
        self._engine = engine
        self._collector = Collector(engine)
        config = engine.vllm_config
        model = config.model_config
        names = model.served_model_name
        self.tokenizer = engine.get_tokenizer()
        self.info = {
            "protocol": PROTOCOL,
            "plugin": __version__,
            "vllm": vllm.__version__,
            "model": names if isinstance(names, str) else (names or [model.model])[0],
            "dtype": str(model.dtype).removeprefix("torch."),
            "vocab_size": model.get_vocab_size(),
            "context_length": model.max_model_len,
            "end_ids": end_ids(model, self.tokenizer),
            "max_requests": config.scheduler_config.max_num_seqs,
        }
        self.vocabulary = token_bytes(self.tokenizer, self.info["vocab_size"])

    @staticmethod
    def _task(body, last: int | None = None) -> Task:
        id = f"gonka-{uuid.uuid4().hex}"
        return Task(id, body.key, len(body.prompt), body.delivered, body.sampling.params(), last)

    async def generate(self, body: GenerateBody):
        """Yields token ids, their fingerprints, and the reason of the end: `stop`, `length` or nothing yet.

        Closing the generator ends the completion. Raises `Missing`, and vLLM's own errors.
        """
        task = self._task(body)
        # To vLLM the request is greedy and without filters: the processor leaves one token of each row.
        params = SamplingParams(
            max_tokens=body.max_tokens,
            temperature=0,
            ignore_eos=True,
            stop_token_ids=body.stop_token_ids,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args=task.extra_args(),
        )
        position = len(body.prompt)
        self._collector.open(task.id)
        outputs = self._engine.generate({"prompt_token_ids": body.prompt}, params, task.id)
        try:
            async for output in outputs:
                part = output.outputs[0]
                ids = list(part.token_ids)
                prints = await self._collector.take(task.id, range(position, position + len(ids)))
                position += len(ids)
                yield ids, prints, part.finish_reason
        finally:
            self._collector.close(task.id)
            await outputs.aclose()

    async def check(self, body: CheckBody) -> tuple[list[int], list[bytes]]:
        """Returns margins in 2^-16 nats and fingerprints of a completion's tokens. Raises `Missing`."""
        task = self._task(body, body.output[-1])
        params = SamplingParams(
            max_tokens=1,
            temperature=0,
            ignore_eos=True,
            detokenize=False,
            # Every token has to be read, or it has no hidden state.
            skip_reading_prefix_cache=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args=task.extra_args(),
        )
        outputs = self._engine.generate({"prompt_token_ids": body.prompt + body.output[:-1]}, params, task.id)
        try:
            async for _ in outputs:
                pass
        finally:
            await outputs.aclose()
        workers = await self._engine.collective_rpc("gonka_take_check", args=(task.id,))
        # Only workers with logits have results, and these are equal.
        results = next((found for found in workers if found), [])
        wanted = range(len(body.prompt), len(body.prompt) + len(body.output))
        if [position for position, *_ in results] != list(wanted):
            raise Missing(f"{len(results)} of {len(wanted)} tokens were read")
        return [margin for _, margin, _ in results], [bytes(print) for *_, print in results]
