"""The rule from logits to a token, against vectors of the Rust crate (engine/tests/vectors.rs): equal in every bit.

Needs torch only: `python -m unittest discover -s engine/vllm/tests -t engine/vllm`.
"""

import json
import unittest
from pathlib import Path

import torch

from gonka_vllm import fingerprint, margin, sampler, tape
from gonka_vllm.sampler import SamplingParams

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


def integers(values):
    return torch.tensor(values, dtype=torch.int64)


def state_of(vector):
    return tape.row_state(bytes.fromhex(vector["key"]), vector["position"])


class Rule(unittest.TestCase):
    def test_noise_and_weights(self):
        uniforms, noise = zip(*VECTORS["gumbel"])
        self.assertEqual(tape.gumbel(integers(uniforms)).tolist(), list(noise))
        deficits, weights = zip(*VECTORS["weight"])
        self.assertEqual(tape.weight(integers(deficits)).tolist(), list(weights))
        rows = VECTORS["noise"]
        states = integers([state_of(row) for row in rows])
        self.assertEqual(tape.noise(states, 77).tolist(), [row["noise"] for row in rows])

    def test_penalties(self):
        for vector in VECTORS["penalties"]:
            row = integers(vector["logits"])
            sampler.penalise(row, SamplingParams(*vector["sampling"]), dict(vector["seen"]))
            self.assertEqual(row.tolist(), vector["penalised"], vector)

    def test_chosen_tokens_and_margins_of_single_rows(self):
        for vector in VECTORS["choices"]:
            logits, states = integers([vector["logits"]]), integers([state_of(vector)])
            samplings = [SamplingParams(*vector["sampling"])]
            self.assertEqual(sampler.choose(logits, states, samplings).tolist(), [vector["token"]], vector)
            # All tokens of the row at once, and one outside the vocabulary.
            count = len(vector["margins"])
            rows, tokens = logits.repeat(count, 1), torch.arange(count)
            found = sampler.margins(rows, states.repeat(count), samplings * count, tokens)
            self.assertEqual(found, vector["margins"], vector)

    def test_a_row_gives_the_same_in_a_batch(self):
        by_length = {}
        for vector in VECTORS["choices"]:
            by_length.setdefault(len(vector["logits"]), []).append(vector)
        self.assertGreater(len(by_length), 3)
        for vectors in by_length.values():
            logits = integers([vector["logits"] for vector in vectors])
            states = integers([state_of(vector) for vector in vectors])
            samplings = [SamplingParams(*vector["sampling"]) for vector in vectors]
            tokens = [vector["token"] for vector in vectors]
            self.assertEqual(sampler.choose(logits, states, samplings).tolist(), tokens)
            self.assertEqual(sampler.margins(logits, states, samplings, integers(tokens)), [0] * len(tokens))
            first = [vector["margins"][0] for vector in vectors]
            self.assertEqual(sampler.margins(logits, states, samplings, integers([0] * len(tokens))), first)

    def test_rows_as_long_as_a_vocabulary(self):
        for vector in VECTORS["long_choices"]:
            source = integers([tape.row_state(bytes.fromhex(vector["logits_key"]), 0)])
            logits = tape.noise(source, vector["vocabulary"]) >> vector["shift"]
            states, samplings = integers([state_of(vector)]), [SamplingParams(*vector["sampling"])]
            self.assertEqual(sampler.choose(logits, states, samplings).tolist(), [vector["token"]], vector)
            for token, expected in zip(vector["tokens"], vector["margins"]):
                found = sampler.margins(logits, states, samplings, integers([token]))
                self.assertEqual(found, [expected], (token, vector))

    def test_many_equally_good_tokens_are_compared_exactly(self):
        # All uniforms of the row lie so close together that the rough computation cannot order them.
        rows = sampler._Rows(torch.zeros(1, 4096, dtype=torch.int64), integers([1]), [SamplingParams()])
        rows.uniforms = torch.arange(4096, dtype=torch.int64)[None] * 3 + (1 << 30)
        exact = tape.gumbel(rows.uniforms)
        rough = sampler._rough(rows.uniforms)
        self.assertLess(float((rough - exact / tape.NAT).abs().max()), 1e-3)
        self.assertEqual(int(rows.best()[0]), int((exact == exact.amax()).nonzero()[0, 1]))

    def test_logits_are_rounded_to_the_nearest_unit(self):
        halves = torch.tensor([0.5, 1.5, -0.5, -1.5, 2.51]) / 64
        self.assertEqual(sampler.round_logits(halves).tolist(), [0, 2, 0, -2, 3])
        highest = torch.tensor([float("inf"), 1e30, 16_384.0])
        self.assertEqual(sampler.round_logits(highest).tolist(), [sampler.MAX_LOGIT] * 3)
        lowest = torch.tensor([-float("inf"), float("nan"), -1e30])
        self.assertEqual(sampler.round_logits(lowest).tolist(), [-sampler.MAX_LOGIT] * 3)

    def test_fingerprints(self):
        for vector in VECTORS["fingerprints"]:
            hidden = torch.tensor([vector["hidden"]], dtype=torch.float32)
            signs = fingerprint.projection(bytes.fromhex(vector["key"]), hidden.shape[1])
            words = ((signs < 0).long() << torch.arange(16)).sum(1)
            self.assertEqual(words.tolist(), vector["signs"])
            self.assertEqual(fingerprint.fingerprints(hidden, signs[None]).tolist(), [vector["fingerprint"]])
        broken = torch.full((1, 67), float("nan"))
        self.assertEqual(fingerprint.fingerprints(broken, signs[None]).tolist(), [[0] * 16])

    def test_a_token_outside_the_vocabulary_has_the_largest_margin(self):
        logits, states = integers([[1, 2]]), integers([3])
        for samplings in ([SamplingParams()], [SamplingParams(top_k=2)]):
            self.assertEqual(sampler.margins(logits, states, samplings, integers([2])), [margin.MAX_MARGIN])


if __name__ == "__main__":
    unittest.main()
