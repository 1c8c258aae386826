"""OpenAI's own tests of its library's resources, from the source package whose folder is the argument.

They were made for a server that answers every request with an example, so that many of them send what no model has, or ask for
resources that a gateway does not keep. A test does not apply if the gateway rejects its request with 400, 404 or 405 and a
reason; these are counted by reason. Every other failure is one.
"""

import collections
import os
import re
import sys
from importlib.metadata import version

import openai
import pytest
from checks import API_KEY, BASE_URL

FILES = ["chat/test_completions.py", "test_completions.py", "test_responses.py", "test_models.py"]


class Results:
    """A plugin of pytest that lets the tests send our key, and sorts what comes of them."""

    def __init__(self):
        self.passed, self.failed = collections.Counter(), []
        self.inapplicable = collections.Counter()

    def pytest_collection_finish(self, session):
        conftest = sys.modules["tests.conftest"]
        conftest.api_key = conftest.admin_api_key = API_KEY
        conftest.base_url = BASE_URL

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if call.excinfo is not None and not report.skipped:
            error = call.excinfo.value
            reason = self.reason(error)
            if reason:
                self.inapplicable[item.path.name, *reason] += 1
            else:
                self.failed.append(f"{item.nodeid}: {error!r}")
        elif report.when == "call" and report.passed:
            self.passed[item.path.name] += 1

    @staticmethod
    def reason(error):
        """The status and the message of a rejection."""
        if not isinstance(error, openai.APIStatusError) or error.status_code not in (400, 404, 405):
            return None
        body = error.body if isinstance(error.body, dict) else {}
        message = re.sub(r"\s+", " ", body.get("message") or "")
        return (error.status_code, message[:110]) if message or error.status_code == 405 else None


def main(folder):
    results = Results()
    os.chdir(folder)
    sys.path.insert(0, folder)
    files = [f"tests/api_resources/{name}" for name in FILES]
    options = ["-q", "-q", "--no-header", "--tb=no", "-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider"]
    pytest.main([*options, *files], plugins=[results])
    for text in results.failed:
        print("FAILED", text)
    print("\nfile\tpassed\tdo not apply\tfailed")
    for name in FILES:
        key = name.rsplit("/", maxsplit=1)[-1]
        print(name, results.passed[key], sum(count for reason, count in results.inapplicable.items() if reason[0] == key), sep="\t")
    print("\nwhy tests do not apply")
    for (name, status, message), count in results.inapplicable.most_common():
        print(f"{count}\t{name}\t{status}\t{message}")
    passed, rest = results.passed.total(), results.inapplicable.total()
    print(f"= openai's own tests\t{version('openai')}\t{passed} of {passed + len(results.failed)}, {rest} do not apply")
    sys.exit(bool(results.failed) or not passed)


main(sys.argv[1])
