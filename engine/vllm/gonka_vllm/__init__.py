"""The sampling tape, fingerprints and checks of Gonka in vLLM."""

__version__ = "0.1.0"
#: Version of the routes that `gonka-worker` calls.
PROTOCOL = 1
