"""The trial before the server starts: it generates on the tape, checks by reading, and must agree with itself."""

import asyncio
from typing import TYPE_CHECKING

from .body import CheckBody, GenerateBody
from .plugin import Refused, check_version
from .tape import NAT

if TYPE_CHECKING:
    from .service import Service

#: Tokens of a completion.
TOKENS = 8
#: Maximum margin of an honest token: kernels for one row and for many may round otherwise.
MAX_MARGIN = NAT // 2
#: Maximum squared distance of a token's two fingerprints. Those of different tapes are 33,000 apart on average.
MAX_DISTANCE = 2_000
_OTHER_TAPE = 5_000
_TEXT = "Once upon a time there was a small town, and in it"
#: Temperature, top_k, top_p, min_p, repetition, presence, frequency.
_SAMPLINGS = (
    (1000, 0, 1_000_000, 0, 1000, 0, 0),
    (800, 40, 950_000, 10_000, 1000, 0, 0),
    (1000, 0, 1_000_000, 0, 1100, 500, 300),
    (0, 0, 1_000_000, 0, 1000, 0, 0),
)
_NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition", "presence", "frequency")


def check_configuration(config, args) -> None:
    """Raises `Refused` for a configuration of vLLM with which completions would not be on the tape."""
    import vllm

    check_version(vllm.__version__)
    if config.speculative_config is not None:
        raise Refused("speculative decoding leaves out the processor that chooses tokens on the tape")
    if (getattr(args, "api_server_count", 1) or 1) > 1:
        raise Refused("several API servers (--api-server-count) would take each other's fingerprints")
    if config.parallel_config.data_parallel_size > 1:
        raise Refused("data parallelism is not supported: start one server for each replica")
    if config.parallel_config.pipeline_parallel_size > 1:
        raise Refused("pipeline parallelism was not tried")


def _distance(a: bytes, b: bytes) -> int:
    """Returns the squared distance of two fingerprints of signed bytes."""
    signed = [[byte - 256 if byte > 127 else byte for byte in print] for print in (a, b)]
    return sum((x - y) ** 2 for x, y in zip(*signed))


async def _try(service: "Service", sampling: dict, key: str) -> None:
    prompt = service.tokenizer.encode(_TEXT)
    common = {"prompt": prompt, "delivered": 0, "sampling": sampling, "key": key}
    output, prints = [], []
    async for ids, found, _ in service.generate(GenerateBody(**common, max_tokens=TOKENS, stop_token_ids=[])):
        output += ids
        prints += found
    if len(output) != TOKENS:
        raise Refused(f"it generated {len(output)} of {TOKENS} tokens")
    margins, read = await service.check(CheckBody(**common, output=output))
    if max(margins) > MAX_MARGIN:
        raise Refused(f"a check finds its own tokens {max(margins) / NAT:.2f} nats from being due, with {sampling}")
    distances = [_distance(a, b) for a, b in zip(prints, read)]
    if max(distances) > MAX_DISTANCE:
        raise Refused(f"a check finds fingerprints at squared distances of up to {max(distances)}")

    # Checks must find forgeries, too: another token, and another tape.
    vocabulary = service.info["vocab_size"]
    forged = [*output[:-1], (output[-1] + vocabulary // 2) % vocabulary]
    margins, _ = await service.check(CheckBody(**common, output=forged))
    if margins[-1] == 0:
        raise Refused("a check does not find a token that was replaced")
    _, other = await service.check(CheckBody(**{**common, "key": key[::-1]}, output=output))
    if sum(map(_distance, prints, other)) < _OTHER_TAPE * TOKENS:
        raise Refused("fingerprints do not depend on the tape")


async def run(service: "Service") -> None:
    """Generates and checks some completions at the same time. Raises `Refused`."""
    samplings = [dict(zip(_NAMES, numbers)) for numbers in _SAMPLINGS]
    keys = [f"{index:x}" + "0123456789abcdef" * 3 + "0" * 15 for index in range(len(samplings))]
    tries = [asyncio.ensure_future(_try(service, *each)) for each in zip(samplings, keys)]
    try:
        await asyncio.gather(*tries)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"the self-test failed: {error or type(error).__name__}") from error
    finally:
        for each in tries:
            each.cancel()
