"""The self-test lets a right server start and refuses wrong ones: a small model in torch. Needs pydantic."""

import asyncio
import importlib.util
import unittest
from types import SimpleNamespace

import torch

from gonka_vllm import fingerprint, sampler, tape
from gonka_vllm.plugin import Refused
from gonka_vllm.request import Task

HAS_PYDANTIC = importlib.util.find_spec("pydantic") is not None
VOCABULARY, WIDTH = 500, 64


class Small:
    """A model whose hidden state follows from the last token and its position, with the service's two methods."""

    def __init__(self):
        self.info = {"vocab_size": VOCABULARY}
        self.tokenizer = SimpleNamespace(encode=lambda text: [len(word) for word in text.split()])
        self.head = torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(0))

    def hidden(self, tokens):
        return torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(tokens[-1] * 10_000 + len(tokens)))

    def row(self, body, tokens):
        """Returns logits, state and fingerprint of the token after `tokens`."""
        hidden, key = self.hidden(tokens), bytes.fromhex(body.key)
        units = sampler.round_logits(hidden @ self.head.T)
        if body.sampling.params().penalises:
            task = Task("id", body.key, len(body.prompt), body.delivered)
            sampler.penalise(units[0], body.sampling.params(), task.seen(tokens))
        signs = fingerprint.projection(key, WIDTH)[None]
        print = fingerprint.fingerprints(hidden, signs)[0].numpy().tobytes()
        return units, torch.tensor([tape.row_state(key, len(tokens))]), print

    async def generate(self, body):
        tokens = list(body.prompt)
        for _ in range(body.max_tokens):
            units, state, print = self.row(body, tokens)
            tokens.append(int(sampler.choose(units, state, [body.sampling.params()])))
            yield [tokens[-1]], [print], None

    async def check(self, body):
        tokens, margins, prints = list(body.prompt), [], []
        for token in body.output:
            units, state, print = self.row(body, tokens)
            margins += sampler.margins(units, state, [body.sampling.params()], torch.tensor([token]))
            prints.append(print)
            tokens.append(token)
        return margins, prints


class OffTheTape(Small):
    async def generate(self, body):
        async for (token,), prints, finish in super().generate(body):
            yield [(token + 1) % VOCABULARY], prints, finish


class OtherStates(Small):
    async def generate(self, body):
        async for tokens, (print,), finish in super().generate(body):
            yield tokens, [print[::-1]], finish


class Trusting(Small):
    async def check(self, body):
        margins, prints = await super().check(body)
        return [0] * len(margins), prints


class WithoutTape(Small):
    def row(self, body, tokens):
        units, state, _ = super().row(body, tokens)
        return units, state, bytes(16)


class Short(Small):
    async def generate(self, body):
        async for event in super().generate(body):
            yield event
            return


class Broken(Small):
    async def check(self, body):
        raise RuntimeError("out of memory")


@unittest.skipUnless(HAS_PYDANTIC, "pydantic is not installed")
class SelfTest(unittest.TestCase):
    def run_with(self, service):
        from gonka_vllm import selftest

        asyncio.run(selftest.run(service))

    def test_a_right_server_starts(self):
        self.run_with(Small())

    def test_wrong_servers_are_refused(self):
        for service, why in (
            (OffTheTape(), "nats from being due"),
            (OtherStates(), "fingerprints at squared distances"),
            (Trusting(), "does not find a token"),
            (WithoutTape(), "do not depend on the tape"),
            (Short(), "1 of 8 tokens"),
            (Broken(), "out of memory"),
        ):
            with self.assertRaisesRegex(Refused, why):
                self.run_with(service)


@unittest.skipUnless(HAS_PYDANTIC, "pydantic is not installed")
class Bodies(unittest.TestCase):
    def test_what_contradicts_the_model_is_invalid_and_messages_have_no_contents(self):
        from gonka_vllm.body import CheckBody, Invalid, parse

        info = {"context_length": 5, "vocab_size": 9}
        names = ("temperature", "top_k", "top_p", "min_p", "repetition", "presence", "frequency")
        sampling = ", ".join(f'"{name}": 0' for name in names)

        def body(prompt="[1, 2]", output="[3]", delivered=0, key="ab" * 32):
            fields = f'"prompt": {prompt}, "output": {output}, "delivered": {delivered}, "key": "{key}"'
            return f'{{{fields}, "sampling": {{{sampling}}}}}'.encode()

        self.assertEqual(parse(body(), CheckBody, info).output, [3])
        for text, why in (
            (body(prompt="[]"), "empty"),
            (body(output="[]"), "empty"),
            (body(output="[3, 3, 3, 3]"), "exceed the context"),
            (body(output="[9]"), "not among"),
            (body(prompt='["secret"]'), "prompt.0"),
            (body(delivered=3), "delivered"),
            (body(key="secret"), "key"),
            (b"secret", "JSON"),
        ):
            with self.assertRaisesRegex(Invalid, why) as caught:
                parse(text, CheckBody, info)
            self.assertNotIn("secret", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
