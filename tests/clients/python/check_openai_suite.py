"""The tests of OpenAI's own library for the resources that a gateway has, from its source package, whose folder is the argument.

They are made for a server that takes any value. `adapt` puts values of this network in the place of those that they invent.
"""

import os
import sys
from importlib.metadata import version

import openai
import pytest
from checks import API_KEY, BASE_URL, MODEL

FILES = [
    "chat/test_completions.py",
    "test_completions.py",
    "test_responses.py",
    "responses/test_input_items.py",
    "responses/test_input_tokens.py",
    "test_models.py",
]
# Parts of the names of tests, by file, and why they are left out.
LEFT_OUT = {
    "stored chat completions": ("chat/test_completions.py", ("retrieve", "update", "list", "delete")),
    "cancelling and compacting responses": ("test_responses.py", ("cancel", "compact")),
    "deleting models": ("test_models.py", ("delete",)),
}
# Fields that name what no host serves: sound, moderation, conversations and prompts that OpenAI keeps, background work.
REFUSED = {
    "audio",
    "background",
    "context_management",
    "conversation",
    "include",
    "moderation",
    "web_search_options",
}
# A request with this header is sent as it is.
PLAIN = {"X-As-It-Is": "true"}
api = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
build_request = openai.OpenAI._build_request


def stored_response():
    """The id of a response that the gateway keeps."""
    return api.responses.create(model=MODEL, input="Hello", max_output_tokens=16, extra_headers=PLAIN).id


def adapt(options):
    """Puts values of this network in the place of those that a test invents."""
    path, body = options.url, options.json_data
    if path.startswith("/responses/resp_") or path.startswith("/responses/response_id"):
        stored = stored_response()
        options.url = "/".join(["", "responses", stored, *path.split("/")[3:]])
        if "after" in options.params:
            items = api.responses.input_items.list(stored, extra_headers=PLAIN)
            options.params = {**options.params, "after": items.data[0].id}
    if path.startswith("/models/"):
        options.url = f"/models/{MODEL}"
    if "limit" in options.params:
        options.params = {**options.params, "limit": 1}
    if not isinstance(body, dict):
        return
    body["model"] = MODEL
    for field in REFUSED:
        body.pop(field, None)
    if path == "/chat/completions":
        body["max_completion_tokens"] = 4
        body.pop("max_tokens", None)
        # The older form of tools.
        for field in ("functions", "function_call"):
            body.pop(field, None)
    if path == "/completions":
        body["max_tokens"] = 4
        # The demo model has no tokens for a text in the middle.
        body.pop("suffix", None)
        # Hosts report log probabilities of completions only.
        if body.get("echo"):
            body.pop("logprobs", None)
        if "best_of" in body:
            body["best_of"] = 1
    if path.startswith("/responses"):
        body.setdefault("input", "Hello")
        # It is one that OpenAI keeps.
        body.pop("prompt", None)
        if "previous_response_id" in body:
            body["previous_response_id"] = stored_response()
    if path == "/responses":
        body["max_output_tokens"] = 16
    if "logit_bias" in body:
        body["logit_bias"] = {"1": 0}


def build_adapted(self, options, **more):
    if not isinstance(options.headers, dict) or options.headers.get("X-As-It-Is") != "true":
        adapt(options)
    return build_request(self, options, **more)


class Report:
    """Counts tests, and prints their results as the other checks do."""

    def __init__(self):
        self.passed, self.failed, self.left_out = 0, 0, 0

    @staticmethod
    def is_left_out(item):
        return any(
            item.nodeid.split("::")[0].endswith(f"api_resources/{file}") and any(part in item.name for part in parts)
            for file, parts in LEFT_OUT.values()
        )

    def pytest_collection_modifyitems(self, items):
        sys.modules["tests.conftest"].api_key = API_KEY
        left_out = [item for item in items if self.is_left_out(item)]
        self.left_out = len(left_out)
        items[:] = [item for item in items if item not in left_out]

    def pytest_collectreport(self, report):
        if report.failed:
            print(report.longreprtext, flush=True)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed += 1
            print("FAILED", report.nodeid, report.longreprtext, sep="\n", flush=True)
        elif report.when == "call":
            self.passed += 1
            print("ok", report.nodeid.split("::", 1)[1], flush=True)


def main(package):
    os.environ["TEST_API_BASE_URL"] = BASE_URL
    os.chdir(package)
    for kind in (openai.OpenAI, openai.AsyncOpenAI):
        kind._build_request = build_adapted
    report = Report()
    options = ["--override-ini=addopts=", "--override-ini=filterwarnings=", "-p", "no:terminal"]
    files = [f"tests/api_resources/{file}" for file in FILES]
    status = pytest.main([*options, *files], plugins=[report])
    print(f"left out, {report.left_out}: {', '.join(LEFT_OUT)}")
    count = report.passed + report.failed
    print(f"= openai, its own tests\t{version('openai')}\t{report.passed} of {count}", flush=True)
    sys.exit(status != 0 or report.passed == 0)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(sys.argv[1])
