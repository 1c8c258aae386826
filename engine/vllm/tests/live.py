"""The routes of a running server: live.py URL KEY. `scripts/vllm` runs it, with an API key, and with a cache that is
too small for 8 completions of 300 tokens."""

import json
import socket
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

URL = ""
KEY = ""
NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition", "presence", "frequency")
PLAIN = dict(zip(NAMES, (1000, 0, 1_000_000, 0, 1000, 0, 0)))
COMMON = {"prompt": [1, 2, 3], "delivered": 0, "key": "ab" * 32, "sampling": PLAIN}
GENERATE = {**COMMON, "max_tokens": 4, "stop_token_ids": []}
#: A machine may be slow and busy.
PATIENCE = 300


def call(path, body=None, key=None):
    """Returns status and text of a response."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY if key is None else key}"}
    request = urllib.request.Request(URL + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def generate(**changes):
    """Returns the ids of a completion."""
    status, text = call("/gonka/v1/generate", {**GENERATE, **changes})
    assert status == 200, text
    return [id for line in text.splitlines() if line for id in json.loads(line[5:])["ids"]]


def metric(name: str) -> int:
    """Returns one of vLLM's metrics."""
    lines = call("/metrics")[1].splitlines()
    return int(float(next(line for line in lines if line.startswith(f"vllm:{name}{{")).split()[-1]))


def counted(state: str) -> int:
    """Returns the number of requests that are running or waiting in vLLM."""
    return metric(f"num_requests_{state}")


def send(path, body) -> socket.socket:
    """Sends a request, and returns its connection without waiting for the response."""
    host, port = URL.removeprefix("http://").split(":")
    text = json.dumps(body).encode()
    connection = socket.create_connection((host, int(port)))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
    head += f"Authorization: Bearer {KEY}\r\n\r\n"
    connection.sendall(head.encode() + text)
    return connection


class Live(unittest.TestCase):
    def wait_until(self, what, condition):
        start = time.monotonic()
        while not condition():
            self.assertLess(time.monotonic() - start, PATIENCE, what)
            time.sleep(0.01)

    def setUp(self):
        self.info = json.loads(call("/gonka/v1/info")[1])
        self.context, self.vocabulary = self.info["context_length"], self.info["vocab_size"]

    def long(self, length):
        """Returns a prompt of many different tokens."""
        return [20 + at * 7919 % (self.vocabulary - 20) for at in range(length)]

    def test_invalid_requests_are_rejected_without_their_contents(self):
        for change, why in (
            ({"prompt": []}, "empty"),
            ({"prompt": [self.vocabulary]}, "not among"),
            ({"max_tokens": self.context}, "exceed the context"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"delivered": 4}, "delivered"),
            ({"key": "AB" * 32}, "key"),
            ({"sampling": {**PLAIN, "top_k": -1}}, "top_k"),
            ({"secret": "secret"}, "not permitted"),
        ):
            status, text = call("/gonka/v1/generate", {**GENERATE, **change})
            self.assertEqual(status, 400, change)
            self.assertIn(why, text)
            self.assertNotIn('"secret"', text)
        self.assertEqual(call("/gonka/v1/check", {**COMMON, "output": []})[0], 400)
        self.assertIn("bytes", call("/gonka/v1/generate", b" " * (self.context * 32 + 100_000))[1])

    def test_the_key_guards_all_routes(self):
        for path, body in (("info", None), ("vocabulary", None), ("generate", GENERATE), ("check", GENERATE)):
            for key in ("", f"{KEY}x"):
                self.assertEqual(call(f"/gonka/v1/{path}", body, key)[0], 401, path)

    def test_other_routes_cannot_set_a_task(self):
        for task, status in (({"id": "x"}, 400), ("x", 200), (5, 200), (["x"], 200)):
            body = {"model": self.info["model"], "prompt": "x", "max_tokens": 2, "vllm_xargs": {"gonka": task}}
            self.assertEqual(call("/v1/completions", body)[0], status, task)

    def test_a_completion_is_checked_to_the_end_of_the_context(self):
        prompt = self.long(self.context - 8)
        output = generate(prompt=prompt, max_tokens=8)
        result = json.loads(call("/gonka/v1/check", {**COMMON, "prompt": prompt, "output": output})[1])
        self.assertEqual((len(output), result["margins"]), (8, [0] * 8))

    def test_stop_ids_end_a_completion(self):
        whole = generate(max_tokens=8)
        at = whole.index(whole[4])
        self.assertEqual(generate(max_tokens=8, stop_token_ids=[whole[4]]), whole[: at + 1])

    def test_a_completion_with_penalties_goes_on_as_it_began(self):
        sampling = {**PLAIN, "presence": 800, "frequency": 400, "repetition": 1200}
        whole = generate(sampling=sampling, max_tokens=12)
        prompt = COMMON["prompt"] + whole[:5]
        self.assertEqual(generate(sampling=sampling, max_tokens=7, prompt=prompt, delivered=5), whole[5:])
        checks = [
            {**COMMON, "sampling": sampling, "output": whole},
            {**COMMON, "sampling": sampling, "output": whole[5:], "prompt": prompt, "delivered": 5},
        ]
        margins = [json.loads(call("/gonka/v1/check", body)[1])["margins"] for body in checks]
        self.assertEqual(margins, [[0] * 12, [0] * 7])

    def test_completions_that_are_interrupted_for_others_go_on_as_they_began(self):
        before = metric("num_preemptions_total")
        penalties = {**PLAIN, "presence": 300, "frequency": 200, "repetition": 1100}
        tasks = [
            {**COMMON, "key": f"{index:02x}" * 32, "sampling": penalties if index % 2 else PLAIN} for index in range(8)
        ]

        def run(task):
            task["output"] = generate(**task, max_tokens=300)

        threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(metric("num_preemptions_total"), before)
        for task in tasks:
            self.assertEqual(json.loads(call("/gonka/v1/check", task)[1])["margins"], [0] * 300)

    def test_a_client_that_hangs_up_ends_its_completion(self):
        connection = send("/gonka/v1/generate", {**GENERATE, "max_tokens": self.context - 3})
        self.wait_until("nothing runs", lambda: counted("running") == 1)
        connection.close()
        self.wait_until("the completion goes on", lambda: counted("running") == 0)

    def test_as_many_requests_wait_as_run_and_more_are_rejected(self):
        limit = 2 * self.info["max_requests"]
        long = {**GENERATE, "max_tokens": self.context - 3}
        connections = [send("/gonka/v1/generate", long) for _ in range(limit)]
        self.wait_until("not all arrive", lambda: counted("running") + counted("waiting") == limit)
        self.assertEqual(call("/gonka/v1/generate", GENERATE)[0], 503)
        self.assertEqual(call("/gonka/v1/check", {**COMMON, "output": [5]})[0], 503)
        for connection in connections:
            connection.close()
        self.wait_until("completions go on", lambda: counted("running") + counted("waiting") == 0)
        self.assertEqual(len(generate()), 4)


if __name__ == "__main__":
    KEY, URL = sys.argv.pop(), sys.argv.pop().rstrip("/")
    unittest.main()
