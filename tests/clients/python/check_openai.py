"""OpenAI's own library: chat and text completions, responses, embeddings, models, errors."""

import json

import openai
from checks import API_KEY, BASE_URL, LIMITED_KEY, MODEL, QUESTION, WEATHER, Weather, check, raises, run

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
USER = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}
FLAT = {"type": "function", "name": "weather", "description": "The weather", "parameters": WEATHER, "strict": True}


def chat(**more):
    return client.chat.completions.create(
        **{"model": MODEL, "messages": USER, "max_tokens": 8, "temperature": 0, **more}
    )


def respond(**more):
    return client.responses.create(
        **{"model": MODEL, "input": QUESTION, "max_output_tokens": 16, "temperature": 0, **more}
    )


def is_call(name, arguments):
    value = json.loads(arguments)
    assert name == "weather" and value["place"] in ("Rome", "Oslo") and len(value) == 2, (name, arguments)


@check
def chat_completion():
    completion = chat()
    choice = completion.choices[0]
    assert completion.object == "chat.completion" and completion.id.startswith("chatcmpl-") and completion.created
    assert choice.message.role == "assistant" and choice.message.content and choice.finish_reason in ("stop", "length")
    assert choice.message.tool_calls is None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id


@check
def chat_streamed():
    text, finish, usage = "", None, None
    for chunk in chat(stream=True, stream_options={"include_usage": True}):
        assert chunk.object == "chat.completion.chunk"
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    assert text == chat().choices[0].message.content and finish and usage.completion_tokens > 0


@check
def chat_stream_helper():
    # The helper takes a text that is cut for an error.
    with client.chat.completions.stream(
        model=MODEL, messages=USER, max_tokens=64, temperature=0, stop=[".", "\n"]
    ) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds and completion.choices[0].message.content, kinds


@check
async def chat_async():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as other:
        stream = await other.chat.completions.create(model=MODEL, messages=USER, max_tokens=4, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@check
def chat_tool_call_and_its_result():
    first = chat(tools=[TOOL], tool_choice="required", max_tokens=64)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls" and message.content is None
    call = message.tool_calls[0]
    is_call(call.function.name, call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 25 °C"}
    second = chat(messages=[*USER, message, result], tools=[TOOL], tool_choice="none")
    assert second.choices[0].message.content and second.choices[0].message.tool_calls is None


@check
def chat_tool_call_streamed():
    with client.chat.completions.stream(
        model=MODEL, messages=USER, tools=[TOOL], tool_choice="required", max_tokens=64, temperature=0
    ) as stream:
        kinds = [event.type for event in stream]
        choice = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds
    assert choice.finish_reason == "tool_calls"
    is_call(choice.message.tool_calls[0].function.name, choice.message.tool_calls[0].function.arguments)


@check
def chat_named_tool_without_parallel_calls():
    choice = {"type": "function", "function": {"name": "weather"}}
    message = chat(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_tokens=64).choices[0].message
    assert len(message.tool_calls) == 1
    is_call(message.tool_calls[0].function.name, message.tool_calls[0].function.arguments)


@check
def chat_parse():
    parsed = client.chat.completions.parse(
        model=MODEL, messages=USER, response_format=Weather, max_tokens=64, temperature=0
    )
    assert isinstance(parsed.choices[0].message.parsed, Weather)


@check
def chat_parse_tool():
    parsed = client.chat.completions.parse(
        model=MODEL, messages=USER, tools=[openai.pydantic_function_tool(Weather)], tool_choice="required",
        max_tokens=96, temperature=0,
    )  # fmt: skip
    assert isinstance(parsed.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)


@check
def chat_parse_cut():
    def cut():
        client.chat.completions.parse(model=MODEL, messages=USER, response_format=Weather, max_tokens=2)

    raises(openai.LengthFinishReasonError, cut)


@check
def chat_several_choices():
    completion = chat(n=3, temperature=1, seed=1)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]


@check
def chat_log_probabilities():
    content = chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert len(content) == 8 and all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in content)
    assert bytes(content[0].bytes).decode() == content[0].token


@check
def chat_stop_and_penalties():
    text = chat().choices[0].message.content
    word = text.split()[1]
    choice = chat(stop=[word]).choices[0]
    assert word not in choice.message.content and choice.finish_reason == "stop", choice
    assert chat(presence_penalty=1, frequency_penalty=1, logit_bias={"5": -100}, top_p=0.5).choices[0].message.content


@check
def text_completion():
    def complete(**more):
        return client.completions.create(model=MODEL, prompt="One, two,", max_tokens=4, temperature=0, **more)

    completion = complete()
    assert completion.object == "text_completion" and completion.choices[0].text and completion.usage.prompt_tokens
    assert complete(echo=True).choices[0].text == "One, two," + completion.choices[0].text
    logprobs = complete(logprobs=2).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 4
    assert "".join(logprobs.tokens) == completion.choices[0].text and len(logprobs.top_logprobs[0]) == 2
    assert "".join(chunk.choices[0].text for chunk in complete(stream=True)) == completion.choices[0].text


@check
def response():
    made = respond()
    assert made.object == "response" and made.id.startswith("resp_") and made.output_text and made.error is None
    assert made.status in ("completed", "incomplete") and made.model == MODEL
    message = made.output[0]
    assert message.type == "message" and message.role == "assistant" and message.status == made.status
    assert message.content[0].type == "output_text" and message.content[0].annotations == []
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    assert made.tools == [] and made.tool_choice == "auto" and made.parallel_tool_calls is True


@check
def response_streamed():
    events = list(respond(stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    final = events[-1].response
    assert kinds[-1] == f"response.{final.status}"
    assert final.output_text == "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert final.id == events[0].response.id and client.responses.retrieve(final.id).output_text == final.output_text


@check
def response_stream_helper():
    with client.responses.stream(
        model=MODEL, input=QUESTION, text_format=Weather, max_output_tokens=64, temperature=0
    ) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, Weather)


@check
def response_retrieved_continued_and_deleted():
    first = respond(instructions="Be brief.")
    assert client.responses.retrieve(first.id).output == first.output
    items = client.responses.input_items.list(first.id).data
    assert items[0].role == "user" and items[0].content[0].text == QUESTION and items[0].id
    second = respond(input="And tomorrow?", previous_response_id=first.id)
    assert second.previous_response_id == first.id and second.usage.input_tokens > first.usage.input_tokens - 8
    client.responses.delete(first.id)
    assert raises(openai.NotFoundError, lambda: client.responses.retrieve(first.id)).status_code == 404
    raises(openai.BadRequestError, lambda: respond(previous_response_id=first.id))
    raises(openai.NotFoundError, lambda: client.responses.retrieve(respond(store=False).id))


@check
def response_tool_call_and_its_result():
    first = respond(tools=[FLAT], tool_choice="required", max_output_tokens=64)
    call = first.output[0]
    assert call.type == "function_call" and call.id != call.call_id and call.status == "completed"
    is_call(call.name, call.arguments)
    assert first.tools[0].name == "weather" and first.tools[0].strict is True
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 25 °C"}
    second = respond(input=[result], previous_response_id=first.id)
    assert second.output_text
    history = [{"role": "user", "content": QUESTION}, *first.output, result]
    third = respond(input=history, store=False, include=["reasoning.encrypted_content"])
    assert third.output_text == second.output_text


@check
def response_tool_call_streamed():
    events = list(respond(tools=[FLAT], tool_choice="required", max_output_tokens=64, stream=True))
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == done.arguments == events[-1].response.output[0].arguments
    is_call(done.name, done.arguments)


@check
def response_parse():
    parsed = client.responses.parse(model=MODEL, input=QUESTION, text_format=Weather, max_output_tokens=64, temperature=0)
    assert isinstance(parsed.output_parsed, Weather)


@check
def response_log_probabilities():
    made = respond(include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = made.output[0].content[0].logprobs
    assert logprobs and all(len(token.top_logprobs) == 2 for token in logprobs)


@check
def models():
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@check
def embeddings():
    error = raises(openai.BadRequestError, lambda: client.embeddings.create(model=MODEL, input="a fox"))
    assert error.param == "model" and "embeddings" in error.message
    for model in client.models.list():
        if "embeddings" not in model.supported_features:
            continue
        # The library asks for Base64, and decodes it.
        texts = ["a fox", "a crow", "a fox"]
        made = client.embeddings.create(model=model.id, input=texts)
        fox, crow, same = (entry.embedding for entry in made.data)
        assert fox == same != crow and abs(sum(number**2 for number in fox) - 1) < 1e-3
        plain = client.embeddings.create(model=model.id, input=texts[0], encoding_format="float")
        assert max(abs(one - other) for one, other in zip(plain.data[0].embedding, fox, strict=True)) < 1e-6
        assert made.usage.prompt_tokens == made.usage.total_tokens > plain.usage.prompt_tokens > 0


@check
def errors():
    wrong_key = client.with_options(api_key="sk-wrong")
    error = raises(openai.AuthenticationError, wrong_key.models.list)
    assert error.code == "invalid_api_key" and error.request_id
    error = raises(openai.BadRequestError, lambda: chat(temperature=5))
    assert error.param == "temperature" and error.type == "invalid_request_error"
    raises(openai.BadRequestError, lambda: chat(messages=[]))
    raises(openai.BadRequestError, lambda: chat(tools=[{"type": "function", "function": {"name": "not a name"}}]))
    raises(openai.BadRequestError, lambda: chat(stream=True, max_tokens=10**9))
    assert raises(openai.NotFoundError, lambda: chat(model="nothing")).code == "model_not_found"
    raises(openai.NotFoundError, lambda: client.models.retrieve("nothing"))
    raises(openai.BadRequestError, lambda: respond(text={"format": {"type": "nothing"}}))
    raises(openai.BadRequestError, lambda: respond(input=[{"type": "web_search_call"}]))


@check
def rate_limit():
    limited = client.with_options(api_key=LIMITED_KEY)

    def twice():
        for _ in range(2):
            limited.chat.completions.create(model=MODEL, messages=USER, max_tokens=1)

    error = raises(openai.RateLimitError, twice)
    assert error.code == "rate_limit_exceeded" and int(error.response.headers["retry-after"]) > 0


run("openai")
