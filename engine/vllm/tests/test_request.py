"""Requests of completions and checks between the processes, and the versions of vLLM. Needs torch only."""

import os
import unittest
from types import SimpleNamespace

from gonka_vllm import plugin
from gonka_vllm.request import Task, task_of
from gonka_vllm.sampler import SamplingParams


class Requests(unittest.TestCase):
    def test_a_task_travels_in_extra_arguments(self):
        task = Task("id", "ab" * 32, 3, 1, SamplingParams(temperature=700, presence=-5), 5)
        self.assertEqual(task_of(SimpleNamespace(extra_args=task.extra_args())), task)
        self.assertEqual(task.key_bytes, b"\xab" * 32)
        for args in (None, {}, {"other": 1}):
            self.assertIsNone(task_of(SimpleNamespace(extra_args=args)))

    def test_penalties_count_delivered_and_generated_tokens(self):
        # The prompt is 1, 2, 2, of which the last was delivered; the completion has 1, 7, 7 so far.
        task = Task("id", "00" * 32, 3, 1)
        self.assertEqual(task.seen([1, 2, 2]), {1: 0, 2: 1})
        self.assertEqual(task.seen([1, 2, 2, 1, 7, 7]), {1: 1, 2: 1, 7: 2})
        # In parts, as while a completion is generated.
        counts = task.seen([1])
        task.count([2, 2, 1], 1, counts)
        task.count([7, 7], 4, counts)
        self.assertEqual(counts, {1: 1, 2: 1, 7: 2})

    def test_untested_versions_are_refused_unless_they_are_permitted(self):
        plugin.check_version("0.32.0")
        plugin.check_version("0.32.0+cpu")
        for version in ("0.31.2", "0.32.1", "1.0.0"):
            with self.assertRaisesRegex(plugin.Refused, version):
                plugin.check_version(version)
        os.environ[plugin.UNTESTED] = "1"
        try:
            plugin.check_version("0.31.2")
        finally:
            del os.environ[plugin.UNTESTED]


if __name__ == "__main__":
    unittest.main()
