// OpenAI's own library.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { apiKey, baseURL, MODEL, Place, QUESTION, run, Weather } from "./checks.js";

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const parameters = z.toJSONSchema(Place);
const tools = [{ type: "function", function: { name: "weather", description: "The weather", parameters } }];
const messages = [{ role: "user", content: QUESTION }];
const chat = (more) =>
	client.chat.completions.create({ model: MODEL, messages, max_tokens: 8, temperature: 0, ...more });
const respond = (more) =>
	client.responses.create({ model: MODEL, input: QUESTION, max_output_tokens: 16, temperature: 0, ...more });

await run("openai", {
	async chatCompletion() {
		const { choices, usage } = await chat();
		assert(choices[0].message.content && usage.completion_tokens > 0);
	},
	async chatStreamed() {
		let text = "";
		for await (const chunk of await chat({ stream: true })) text += chunk.choices[0]?.delta.content ?? "";
		assert.equal(text, (await chat()).choices[0].message.content);
	},
	async chatStreamHelper() {
		const stream = client.chat.completions.stream({ model: MODEL, messages, max_tokens: 8 });
		assert((await stream.finalContent()).length > 0);
		assert((await stream.totalUsage()) !== undefined);
	},
	async chatToolCallAndItsResult() {
		const first = await chat({ tools, tool_choice: "required", max_tokens: 64 });
		const message = first.choices[0].message;
		const [call] = message.tool_calls;
		Place.parse(JSON.parse(call.function.arguments));
		const result = { role: "tool", tool_call_id: call.id, content: "sunny, 25 °C" };
		const second = await chat({ messages: [...messages, message, result], tools, tool_choice: "none" });
		assert(second.choices[0].message.content);
	},
	async chatRunTools() {
		const calls = [];
		const weather = (place) => (calls.push(Place.parse(place)), "sunny, 25 °C");
		const runs = { ...tools[0].function, function: weather, parse: JSON.parse };
		const runner = client.chat.completions.runTools({
			model: MODEL,
			messages,
			max_tokens: 64,
			temperature: 0,
			tool_choice: { type: "function", function: { name: "weather" } },
			tools: [{ type: "function", function: runs }],
		});
		await runner.done();
		assert.equal(calls.length, 1);
	},
	async chatParse() {
		const response_format = zodResponseFormat(Weather, "weather");
		const ask = { model: MODEL, messages, max_tokens: 64, temperature: 0 };
		const made = await client.chat.completions.parse({ ...ask, response_format });
		Weather.parse(made.choices[0].message.parsed);
	},
	async response() {
		const made = await respond();
		assert(made.output_text);
		assert.equal((await client.responses.retrieve(made.id)).output_text, made.output_text);
		assert((await respond({ input: "Why?", previous_response_id: made.id })).output_text);
		await client.responses.delete(made.id);
		await assert.rejects(client.responses.retrieve(made.id), OpenAI.NotFoundError);
	},
	async responseStreamed() {
		const stream = client.responses.stream({ model: MODEL, input: QUESTION, max_output_tokens: 16 });
		let text = "";
		stream.on("response.output_text.delta", (event) => (text += event.delta));
		assert.equal((await stream.finalResponse()).output_text, text);
	},
	async responseToolCallAndItsResult() {
		const flat = { type: "function", name: "weather", description: "The weather", parameters, strict: true };
		const first = await respond({ tools: [flat], tool_choice: "required", max_output_tokens: 64 });
		const call = first.output[0];
		Place.parse(JSON.parse(call.arguments));
		const input = [{ type: "function_call_output", call_id: call.call_id, output: "sunny, 25 °C" }];
		assert((await respond({ input, previous_response_id: first.id })).output_text);
	},
	async responseParse() {
		const text = { format: zodTextFormat(Weather, "weather") };
		const ask = { model: MODEL, input: QUESTION, max_output_tokens: 64, temperature: 0 };
		const made = await client.responses.parse({ ...ask, text });
		Weather.parse(made.output_parsed);
	},
	async textCompletion() {
		const made = await client.completions.create({ model: MODEL, prompt: "One, two,", max_tokens: 4, logprobs: 1 });
		assert.equal(made.choices[0].logprobs.tokens.length, 4);
	},
	async models() {
		const ids = [];
		for await (const model of client.models.list()) ids.push(model.id);
		assert(ids.includes(MODEL));
	},
	async errors() {
		const other = new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 });
		await assert.rejects(other.models.list(), OpenAI.AuthenticationError);
		await assert.rejects(chat({ temperature: 5 }), OpenAI.BadRequestError);
		await assert.rejects(chat({ model: "nothing" }), OpenAI.NotFoundError);
	},
});
