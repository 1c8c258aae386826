"""Streams a chat completion with the openai package, as a developer's program does, and prints its text."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2])
stream = client.chat.completions.create(
	model=sys.argv[3],
	messages=[{"role": "user", "content": "Name a colour."}],
	max_tokens=12,
	temperature=0,
	stream=True,
	stream_options={"include_usage": True},
)
text, usage, finish = "", None, None
for chunk in stream:
	for choice in chunk.choices:
		text += choice.delta.content or ""
		finish = choice.finish_reason or finish
	usage = chunk.usage or usage
assert text and finish in ("stop", "length"), (text, finish)
assert usage.completion_tokens > 0 and usage.prompt_tokens > 0, usage
print(text)
