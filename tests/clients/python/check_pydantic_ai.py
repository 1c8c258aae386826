"""Pydantic AI: agents with tools, schema-bound answers and streams, over responses and chat completions."""

from functools import partial

from checks import API_KEY, BASE_URL, MODEL, QUESTION, Weather, check_over, run
from pydantic_ai import Agent, NativeOutput, ToolOutput, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)
CHAT = OpenAIChatModel(MODEL, provider=provider)
RESPONSES = OpenAIResponsesModel(MODEL, provider=provider)
SHORT = {"max_tokens": 16, "temperature": 0}
LONGER = {"max_tokens": 96, "temperature": 0}


async def text_of(model):
    made = await Agent(model, model_settings=SHORT).run(QUESTION)
    assert made.output and made.usage.output_tokens > 0


async def stream_of(model):
    async with Agent(model, model_settings=SHORT).run_stream(QUESTION) as stream:
        assert "".join([text async for text in stream.stream_text(delta=True)])


async def schema_bound(model, output):
    made = await Agent(model, output_type=output, model_settings=LONGER, retries=0).run(QUESTION)
    assert isinstance(made.output, Weather)
    # A second turn sends the calls of the first.
    again = await Agent(model, output_type=output, model_settings=LONGER, retries=0).run(
        "And tomorrow?", message_history=made.all_messages()
    )
    assert isinstance(again.output, Weather)


async def tool_of(model):
    calls = []

    async def first_alone(context, tool):
        return tool if context.run_step == 1 else None

    agent = Agent(model, output_type=ToolOutput(Weather), model_settings=LONGER, retries=0)

    @agent.tool_plain(prepare=first_alone)
    def look_outside(place: str) -> str:
        """Look at the sky of a place."""
        calls.append(place)
        return "sunny, 25 °C"

    # The model may choose the tool or the output in the first step, and the output alone in the second.
    made = await agent.run(QUESTION + " Look outside!", usage_limits=UsageLimits(request_limit=2))
    assert isinstance(made.output, Weather) and calls


check_over(
    {"chat": CHAT, "responses": RESPONSES},
    text=text_of,
    streamed=stream_of,
    schema_by_tool=partial(schema_bound, output=ToolOutput(Weather)),
    schema_by_format=partial(schema_bound, output=NativeOutput(Weather)),
    tool=tool_of,
)
run("pydantic-ai-slim")
