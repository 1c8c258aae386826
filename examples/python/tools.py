"""Let a model call a function, and demand an answer of a fixed form, with OpenAI's Python package.

Start a network with `make devnet`. In another terminal:

    python3 -m venv venv
    venv/bin/pip install openai
    venv/bin/python examples/python/tools.py

OPENAI_BASE_URL, OPENAI_API_KEY and GONKA_MODEL choose another gateway, key and model.
"""

import json
import os
from typing import Literal

from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "sk-gonka-devnet"),
)
model = os.environ.get("GONKA_MODEL", "SmolLM2-135M-Instruct")


class Weather(BaseModel):
    """Look up the weather of a city."""

    city: Literal["Rome", "Oslo"]


class Advice(BaseModel):
    clothes: Literal["shirt", "coat"]
    umbrella: bool


messages = [{"role": "user", "content": "I travel to Oslo. How is the weather there?"}]
# A small model might not think of the function: this demands a call. "auto", the default, leaves the choice to it.
choice = "required"
for _ in range(3):
    message = (
        client.chat.completions.create(
            model=model,
            messages=messages,
            tools=[pydantic_function_tool(Weather, name="weather")],
            tool_choice=choice,
            max_tokens=64,
        )
        .choices[0]
        .message
    )
    messages.append(message)
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        city = json.loads(call.function.arguments)["city"]
        print(f"the model calls {call.function.name} of {city}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{city}: rain, 4 °C"})
    choice = "none"
print("the model says:", message.content)

# The host generates only tokens that keep the answer within the schema.
messages.append({"role": "user", "content": "What shall I take with me?"})
parsed = client.chat.completions.parse(model=model, messages=messages, response_format=Advice, max_tokens=64)
advice = parsed.choices[0].message.parsed
print("advice:", advice.clothes, "and an umbrella" if advice.umbrella else "without an umbrella")
