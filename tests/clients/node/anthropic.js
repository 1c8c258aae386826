// Anthropic's own library.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { apiKey, host, MODEL, Place, QUESTION, run, Weather } from "./checks.js";

const client = new Anthropic({ baseURL: host, apiKey, maxRetries: 0 });
const tools = [{ name: "weather", description: "The weather", input_schema: z.toJSONSchema(Place) }];
const messages = [{ role: "user", content: QUESTION }];
const body = (more) => ({ model: MODEL, messages, max_tokens: 8, temperature: 0, ...more });

await run("@anthropic-ai/sdk", {
	async message() {
		const made = await client.messages.create(body());
		assert(made.content[0].text && made.usage.output_tokens > 0 && made._request_id);
	},
	async messageStreamed() {
		const stream = client.messages.stream(body());
		let text = "";
		stream.on("text", (piece) => (text += piece));
		const final = await stream.finalMessage();
		assert.equal(final.content[0].text, text);
		assert(final.usage.output_tokens > 0 && final.stop_reason);
	},
	async toolCallAndItsResult() {
		const first = await client.messages.create(body({ tools, tool_choice: { type: "any" }, max_tokens: 64 }));
		assert.equal(first.stop_reason, "tool_use");
		const [call] = first.content;
		Place.parse(call.input);
		const result = { type: "tool_result", tool_use_id: call.id, content: [{ type: "text", text: "sunny" }] };
		const turns = [{ role: "assistant", content: first.content }, { role: "user", content: [result] }];
		const history = [...messages, ...turns];
		const second = await client.messages.create(body({ messages: history, tools, tool_choice: { type: "none" } }));
		assert(second.content[0].text);
	},
	async toolCallStreamed() {
		const stream = client.messages.stream(body({ tools, tool_choice: { type: "any" }, max_tokens: 64 }));
		Place.parse((await stream.finalMessage()).content[0].input);
	},
	async schemaBoundAnswer() {
		const output_config = { format: zodOutputFormat(Weather) };
		const made = await client.messages.parse(body({ output_config, max_tokens: 64 }));
		Weather.parse(made.parsed_output);
	},
	async tokensAreCounted() {
		const { input_tokens } = await client.messages.countTokens({ model: MODEL, messages });
		assert.equal(input_tokens, (await client.messages.create(body())).usage.input_tokens);
	},
	async errors() {
		const other = new Anthropic({ baseURL: host, apiKey: "sk-wrong", maxRetries: 0 });
		await assert.rejects(other.messages.create(body()), Anthropic.AuthenticationError);
		await assert.rejects(client.messages.create(body({ temperature: 5 })), Anthropic.BadRequestError);
		await assert.rejects(client.messages.create(body({ model: "nothing" })), Anthropic.NotFoundError);
	},
});
