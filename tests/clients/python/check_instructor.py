"""Instructor: answers bound to a schema, by tools and by JSON schemas."""

import anthropic
import instructor
import openai
from checks import API_KEY, BASE_URL, MODEL, QUESTION, Weather, check, run

USER = [{"role": "user", "content": QUESTION}]
ASK = {"model": MODEL, "messages": USER, "max_tokens": 96, "temperature": 0, "max_retries": 1}


def client(mode):
    return instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=API_KEY), mode=mode)


@check
def by_tools():
    assert isinstance(client(instructor.Mode.TOOLS).create(response_model=Weather, **ASK), Weather)


@check
def by_json_schema():
    assert isinstance(client(instructor.Mode.JSON_SCHEMA).create(response_model=Weather, **ASK), Weather)


@check
def by_responses():
    ask = {name: value for name, value in ASK.items() if name != "max_tokens"} | {"max_output_tokens": 96}
    made = client(instructor.Mode.RESPONSES_TOOLS).create(response_model=Weather, **ask)
    assert isinstance(made, Weather)


@check
def streamed():
    last = None
    for last in client(instructor.Mode.JSON_SCHEMA).create_partial(response_model=Weather, **ASK):
        pass
    assert Weather.model_validate(last.model_dump())


@check
def by_anthropic():
    inner = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY)
    ask = {name: value for name, value in ASK.items() if name != "temperature"}
    made = instructor.from_anthropic(inner, mode=instructor.Mode.TOOLS).create(response_model=Weather, **ask)
    assert isinstance(made, Weather)


run("instructor")
