"""Named checks of a client library against a gateway. Each prints `ok NAME`, or `FAILED NAME` and the reason."""

import asyncio
import functools
import inspect
import os
import sys
import traceback
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel, ConfigDict

BASE_URL = os.environ["OPENAI_BASE_URL"]
API_KEY = os.environ["OPENAI_API_KEY"]
# A key that allows one request in a minute.
LIMITED_KEY = os.environ["GONKA_LIMITED_KEY"]
MODEL = os.environ.get("GONKA_MODEL", "SmolLM2-135M-Instruct")

QUESTION = "How is the weather in Rome?"
WEATHER = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "enum": ["Rome", "Oslo"]},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["place", "unit"],
    "additionalProperties": False,
}


class Weather(BaseModel):
    """The weather of a place."""

    model_config = ConfigDict(extra="forbid")

    place: Literal["Rome", "Oslo"]
    sky: Literal["sunny", "cloudy", "rainy"]
    is_cold: bool


checks = []


def check(function):
    """Marks a function, or a coroutine function, as a check. Its name is the check's."""
    checks.append(function)
    return function


def check_over(models, **functions):
    """Marks coroutine functions of a model as checks over each of the models: `MODEL_FUNCTION` is a check's name."""
    for model_name, model in models.items():
        for name, function in functions.items():
            over_model = functools.partial(function, model)
            over_model.__name__ = f"{model_name}_{name}"
            check(over_model)


def raises(kind, function):
    """Returns the exception of a kind that the function raises."""
    try:
        function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def run(package):
    """Runs the checks, those alone that the command line names, and ends the program."""
    chosen = [check for check in checks if not sys.argv[1:] or check.__name__ in sys.argv[1:]]
    failed = 0
    with asyncio.Runner() as runner:
        for function in chosen:
            try:
                result = function()
                if inspect.iscoroutine(result):
                    runner.run(result)
                print("ok", function.__name__, flush=True)
            except Exception:
                failed += 1
                print("FAILED", function.__name__, flush=True)
                traceback.print_exc(file=sys.stdout)
    print(f"= {package}\t{version(package)}\t{len(chosen) - failed} of {len(chosen)}", flush=True)
    sys.exit(failed > 0)
