"""LiteLLM: the gateway as a provider that is compatible with OpenAI, and as Anthropic."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from checks import API_KEY, BASE_URL, MODEL, QUESTION, WEATHER, Weather, check, raises, run

litellm.suppress_debug_info = True
USER = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}
OPENAI = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": API_KEY, "temperature": 0}
ANTHROPIC = {**OPENAI, "model": f"anthropic/{MODEL}", "api_base": BASE_URL.removesuffix("/v1")}


def chat(base=OPENAI, **more):
    return litellm.completion(**{**base, "messages": USER, "max_tokens": 8, **more})


@check
def chat_completion():
    made = chat()
    assert made.choices[0].message.content and made.usage.completion_tokens == 8


@check
def chat_streamed():
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chat(stream=True))
    assert text == chat().choices[0].message.content


@check
def tool_call_and_its_result():
    message = chat(tools=[TOOL], tool_choice="required", max_tokens=64).choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments)["place"]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 25 °C"}
    assert chat(messages=[*USER, message, result], tools=[TOOL], tool_choice="none").choices[0].message.content


@check
def schema_bound_answer():
    schema = {"name": "weather", "schema": Weather.model_json_schema(), "strict": True}
    made = chat(response_format={"type": "json_schema", "json_schema": schema}, max_tokens=64)
    Weather.model_validate_json(made.choices[0].message.content)


@check
def text_completion():
    base = {**OPENAI, "model": f"text-completion-openai/{MODEL}"}
    assert litellm.text_completion(**base, prompt="One, two,", max_tokens=4).choices[0].text


@check
def response():
    made = litellm.responses(**OPENAI, input=QUESTION, max_output_tokens=16)
    assert made.output[0].content[0].text
    kinds = [event.type for event in litellm.responses(**OPENAI, input=QUESTION, max_output_tokens=16, stream=True)]
    assert "response.output_text.delta" in kinds


@check
def anthropic_message():
    assert chat(ANTHROPIC).choices[0].message.content
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chat(ANTHROPIC, stream=True))


@check
def anthropic_tool_call():
    message = chat(ANTHROPIC, tools=[TOOL], tool_choice="required", max_tokens=64).choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments)["place"]


@check
def errors():
    raises(litellm.AuthenticationError, lambda: chat({**OPENAI, "api_key": "sk-wrong"}))
    raises(litellm.BadRequestError, lambda: chat(temperature=5))
    raises(litellm.NotFoundError, lambda: chat({**OPENAI, "model": "openai/nothing"}))
    raises(litellm.ContextWindowExceededError, lambda: chat(max_tokens=10**6))


run("litellm")
