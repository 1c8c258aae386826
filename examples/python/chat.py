"""Stream a chat completion from a Gonka network with OpenAI's Python package.

Start a network with `make devnet`. In another terminal:

    python3 -m venv venv
    venv/bin/pip install openai
    venv/bin/python examples/python/chat.py "What is a blockchain?"

OPENAI_BASE_URL, OPENAI_API_KEY and GONKA_MODEL choose another gateway, key and model.
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "sk-gonka-devnet"),
)
stream = client.chat.completions.create(
    model=os.environ.get("GONKA_MODEL", "SmolLM2-135M-Instruct"),
    messages=[{"role": "user", "content": " ".join(sys.argv[1:]) or "Name a colour."}],
    max_tokens=64,
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    # The last chunk has no choices: it carries the number of tokens that the gateway pays for.
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
    if chunk.usage:
        print(f"\n[{chunk.usage.prompt_tokens} prompt tokens, {chunk.usage.completion_tokens} completion tokens]")
