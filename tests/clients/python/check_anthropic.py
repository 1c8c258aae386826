"""Anthropic's own library: messages, tools, counts of tokens, errors."""

import anthropic
from checks import API_KEY, BASE_URL, LIMITED_KEY, MODEL, QUESTION, WEATHER, Weather, check, raises, run

# The library has no argument for it any more.
GREEDY = {"extra_body": {"temperature": 0}}
client = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY, max_retries=0)
USER = [{"role": "user", "content": QUESTION}]
TOOL = {"name": "weather", "description": "The weather", "input_schema": WEATHER}
ANY = {"type": "any"}


def say(**more):
    return client.messages.create(**{"model": MODEL, "messages": USER, "max_tokens": 8, **GREEDY, **more})


@check
def message():
    made = say(system="Be brief.")
    assert made.type == "message" and made.role == "assistant" and made.id.startswith("msg_") and made.model == MODEL
    assert made.content[0].type == "text" and made.content[0].text and made.stop_reason in ("end_turn", "max_tokens")
    assert made.usage.input_tokens > 0 and made.usage.output_tokens > 0 and made._request_id


@check
def message_streamed():
    with client.messages.stream(model=MODEL, messages=USER, max_tokens=8, **GREEDY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == say().content[0].text
    assert final.usage.output_tokens > 0 and final.usage.input_tokens > 0 and final.stop_reason


@check
def raw_events():
    kinds = [event.type for event in say(stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@check
def stop_sequence():
    word = say().content[0].text.split()[1]
    made = say(stop_sequences=[word])
    assert made.stop_reason == "stop_sequence" and made.stop_sequence == word and word not in made.content[0].text


@check
def tool_call_and_its_result():
    first = say(tools=[TOOL], tool_choice=ANY, max_tokens=64)
    assert first.stop_reason == "tool_use"
    call = first.content[0]
    assert call.type == "tool_use" and call.name == "weather" and call.input["place"] in ("Rome", "Oslo")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny, 25 °C"}
    history = [*USER, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = say(messages=history, tools=[TOOL], tool_choice={"type": "none"})
    assert second.content[0].text


@check
def tool_call_streamed():
    with client.messages.stream(
        model=MODEL, messages=USER, tools=[TOOL], tool_choice=ANY, max_tokens=64, **GREEDY
    ) as stream:
        kinds = [event.type for event in stream]
        call = stream.get_final_message().content[0]
    assert "input_json" in kinds and call.type == "tool_use" and call.input["unit"] in ("celsius", "fahrenheit")


@check
def schema_bound_answer():
    parsed = client.messages.parse(model=MODEL, messages=USER, max_tokens=64, output_format=Weather, **GREEDY)
    assert isinstance(parsed.parsed_output, Weather)


@check
def tool_runner():
    calls = []

    @anthropic.beta_tool
    def weather(place: str) -> str:
        """The weather of a place.

        Args:
            place: Its name.
        """
        calls.append(place)
        return "sunny, 25 °C"

    choice = {"type": "tool", "name": "weather"}
    runner = client.beta.messages.tool_runner(
        model=MODEL, messages=USER, tools=[weather], tool_choice=choice, max_tokens=64, max_iterations=2, **GREEDY
    )
    messages = list(runner)
    assert calls and len(messages) == 2


@check
async def message_async():
    async with anthropic.AsyncAnthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY) as other:
        async with other.messages.stream(model=MODEL, messages=USER, max_tokens=4) as stream:
            assert "".join([text async for text in stream.text_stream])


@check
def tokens_are_counted():
    count = client.messages.count_tokens(model=MODEL, messages=USER, system="Be brief.").input_tokens
    assert count == say(system="Be brief.").usage.input_tokens
    assert client.messages.count_tokens(model=MODEL, messages=USER, tools=[TOOL]).input_tokens > count


@check
def models():
    assert MODEL in [model.id for model in client.models.list()]


@check
def errors():
    wrong_key = client.with_options(api_key="sk-wrong")
    ask = {"model": MODEL, "messages": USER, "max_tokens": 1}
    error = raises(anthropic.AuthenticationError, lambda: wrong_key.messages.create(**ask))
    assert error.body["error"]["type"] == "authentication_error" and error.request_id
    error = raises(anthropic.BadRequestError, lambda: say(extra_body={"temperature": 5}))
    assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error"
    assert "temperature" in error.body["error"]["message"]
    raises(anthropic.BadRequestError, lambda: say(messages=[]))
    raises(anthropic.BadRequestError, lambda: say(stream=True, max_tokens=10**9))
    assert raises(anthropic.NotFoundError, lambda: say(model="nothing")).body["error"]["type"] == "not_found_error"


@check
def rate_limit():
    limited = client.with_options(api_key=LIMITED_KEY)

    def twice():
        for _ in range(2):
            limited.messages.create(model=MODEL, messages=USER, max_tokens=1)

    assert raises(anthropic.RateLimitError, twice).body["error"]["type"] == "rate_limit_error"


run("anthropic")
