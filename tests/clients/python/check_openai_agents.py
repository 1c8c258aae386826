"""OpenAI's library for agents: over responses, its default, and over chat completions."""

from agents import (
    Agent,
    AgentOutputSchema,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from checks import API_KEY, BASE_URL, MODEL, QUESTION, Weather, check, check_over, run
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)
RESPONSES = OpenAIResponsesModel(MODEL, client)
CHAT = OpenAIChatCompletionsModel(MODEL, client)
SHORT = ModelSettings(max_tokens=16, temperature=0)
MUST_CALL = ModelSettings(max_tokens=64, temperature=0, tool_choice="required")
calls = []


@function_tool
def weather(place: str) -> str:
    """The weather of a place."""
    calls.append(place)
    return "sunny, 25 °C"


def agent(model, settings=SHORT, **more):
    return Agent(name="Assistant", instructions="Be brief.", model=model, model_settings=settings, **more)


async def text_of(model):
    first = await Runner.run(agent(model), QUESTION)
    assert first.final_output
    assert (await Runner.run(agent(model), [*first.to_input_list(), {"role": "user", "content": "Why?"}])).final_output


async def stream_of(model):
    # The library takes a stream that is cut for an error.
    settings = ModelSettings(max_tokens=64, temperature=0, extra_body={"stop": [".", "\n"]})
    result = Runner.run_streamed(agent(model, settings), QUESTION)
    kinds = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
    assert "response.output_text.delta" in kinds and result.final_output


async def schema_bound(model):
    settings = ModelSettings(max_tokens=64, temperature=0)
    made = await Runner.run(agent(model, settings, output_type=AgentOutputSchema(Weather)), QUESTION)
    assert isinstance(made.final_output, Weather)


async def tool_of(model):
    calls.clear()
    stops = agent(model, MUST_CALL, tools=[weather], tool_use_behavior="stop_on_first_tool")
    assert (await Runner.run(stops, QUESTION)).final_output == "sunny, 25 °C" and calls
    result = await Runner.run(stops, QUESTION)
    history = [*result.to_input_list(), {"role": "user", "content": "Thanks!"}]
    assert (await Runner.run(agent(model), history)).final_output


async def handoff_of(model):
    other = agent(model, handoff_description="Answers questions about weather")
    first = agent(model, MUST_CALL, handoffs=[other])
    result = await Runner.run(first, QUESTION, max_turns=3)
    assert result.last_agent is other and result.final_output


@check
async def responses_continued():
    first = await Runner.run(agent(RESPONSES), QUESTION)
    made = await Runner.run(agent(RESPONSES), "Why?", previous_response_id=first.last_response_id)
    assert made.final_output


check_over(
    {"responses": RESPONSES, "chat": CHAT},
    text=text_of,
    streamed=stream_of,
    schema_bound_answer=schema_bound,
    tool=tool_of,
    handoff=handoff_of,
)
run("openai-agents")
