"""What a request asks of the worker processes. It travels in vLLM's `SamplingParams.extra_args`, under one name.

Only this package's routes can set it: extra arguments of other routes are texts, numbers and lists.
"""

from dataclasses import asdict, astuple, dataclass, field

from .sampler import SamplingParams

NAME = "gonka"


@dataclass
class Task:
    """A completion to generate, or one to check if it has a last token.

    The tokens of a completion to check are in vLLM's prompt, which vLLM keeps out of its logs, unlike extra arguments.
    The last one is not: vLLM need not read it.
    """

    id: str
    #: Key of the tape: 32 bytes as hexadecimal digits.
    key: str
    #: Number of tokens of the prompt, and of the last ones of these that belong to the completion.
    prompt_length: int
    delivered: int = 0
    sampling: SamplingParams = field(default_factory=SamplingParams)
    last: int | None = None

    @property
    def key_bytes(self) -> bytes:
        """The tape's key."""
        return bytes.fromhex(self.key)

    def extra_args(self) -> dict:
        """Returns the arguments for `SamplingParams.extra_args`."""
        return {NAME: {**asdict(self), "sampling": list(astuple(self.sampling))}}

    def count(self, tokens: list[int], start: int, counts: dict[int, int]) -> None:
        """Counts, for penalties, the tokens of prompt and completion from position `start` on. A token that only the
        prompt has counts 0."""
        own = self.prompt_length - self.delivered
        for position, token in enumerate(tokens, start):
            counts[token] = counts.get(token, 0) + (position >= own)

    def seen(self, tokens: list[int]) -> dict[int, int]:
        """Returns the counts for penalties of `tokens`: the prompt, then the completion as far as it goes."""
        counts: dict[int, int] = {}
        self.count(tokens, 0, counts)
        return counts


def task_of(params) -> Task | None:
    """Returns the task in vLLM's sampling parameters, if they have one."""
    args = (getattr(params, "extra_args", None) or {}).get(NAME)
    # Other routes of the server take texts, numbers and lists under any name.
    if not isinstance(args, dict):
        return None
    return Task(**{**args, "sampling": SamplingParams(*args["sampling"])})
