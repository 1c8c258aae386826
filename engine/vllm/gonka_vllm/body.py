"""Bodies of requests, and what is valid in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .sampler import SamplingParams

_Count = Annotated[int, Field(ge=0, lt=1 << 32)]
_Signed = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]


class Invalid(ValueError):
    """The request contradicts itself or the model."""


class Sampling(BaseModel):
    """The rule's integers: thousandths (temperature, penalties), millionths (top_p, min_p), a number (top_k)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    temperature: _Count
    top_k: _Count
    top_p: _Count
    min_p: _Count
    repetition: _Count
    presence: _Signed
    frequency: _Signed

    def params(self) -> SamplingParams:
        """Returns the parameters of the sampler."""
        return SamplingParams(**self.model_dump())


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: list[_Count]
    #: Number of the prompt's last tokens that belong to the completion.
    delivered: _Count
    sampling: Sampling
    #: Key of the tape: 32 bytes as hexadecimal digits.
    key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class GenerateBody(_Body):
    """A completion to generate."""

    max_tokens: Annotated[int, Field(ge=1, lt=1 << 32)]
    stop_token_ids: list[_Count]


class CheckBody(_Body):
    """A completion to check."""

    output: list[_Count]


def parse(text: bytes, kind: type[_Body], info: dict):
    """Reads a body and compares it with the server's `info`. Raises `Invalid`, with a message that has no contents."""
    try:
        body = kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise Invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    output = body.output if isinstance(body, CheckBody) else []
    more = len(output) if isinstance(body, CheckBody) else body.max_tokens
    if not body.prompt or (isinstance(body, CheckBody) and not output):
        raise Invalid("the prompt or the completion is empty")
    if body.delivered > len(body.prompt):
        raise Invalid("more tokens are delivered than the prompt has")
    if len(body.prompt) + more > info["context_length"]:
        raise Invalid(f"{len(body.prompt)} tokens and up to {more} more exceed the context of {info['context_length']}")
    if any(token >= info["vocab_size"] for tokens in (body.prompt, output) for token in tokens):
        raise Invalid(f"a token id is not among the model's {info['vocab_size']}")
    return body
