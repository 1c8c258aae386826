// Vercel's AI SDK, with its three providers: OpenAI (responses and chat), compatible with OpenAI, Anthropic.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { apiKey, baseURL, MODEL, Place, QUESTION, run, Weather } from "./checks.js";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL, apiKey });
const more = { supportsStructuredOutputs: true, includeUsage: true };
const compatible = createOpenAICompatible({ name: "gonka", baseURL, apiKey, ...more });
const providers = {
	responses: openai(MODEL),
	chat: openai.chat(MODEL),
	compatible: compatible(MODEL),
	messages: createAnthropic({ baseURL, apiKey })(MODEL),
};
const ask = { prompt: QUESTION, maxOutputTokens: 12, temperature: 0, maxRetries: 0 };
const weather = tool({ description: "The weather", inputSchema: Place, execute: async () => "sunny, 25 °C" });

const checks = {};
for (const [name, model] of Object.entries(providers)) {
	checks[`${name}Text`] = async () => {
		const { text, usage } = await generateText({ ...ask, model });
		assert(text && usage.outputTokens > 0);
	};
	checks[`${name}Streamed`] = async () => {
		const errors = [];
		const result = streamText({ ...ask, model, onError: ({ error }) => errors.push(error) });
		let text = "";
		for await (const piece of result.textStream) text += piece;
		assert.deepEqual(errors, []);
		assert(text && (await result.usage).outputTokens > 0);
	};
	// The first step has to call, the second gets the result and writes text.
	const turns = {
		...ask, model, maxOutputTokens: 64, tools: { weather }, stopWhen: stepCountIs(2),
		prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
	};
	checks[`${name}Tool`] = async () => {
		const { steps, text, response } = await generateText(turns);
		assert.equal(steps[0].toolResults[0].output, "sunny, 25 °C");
		assert(text, JSON.stringify(response.body));
		const messages = [{ role: "user", content: QUESTION }, ...response.messages, { role: "user", content: "Why?" }];
		const { prompt, ...again } = ask;
		assert((await generateText({ ...again, model, messages })).text);
	};
	checks[`${name}ToolStreamed`] = async () => {
		const errors = [];
		const result = streamText({ ...turns, onError: ({ error }) => errors.push(error) });
		await result.consumeStream();
		assert.deepEqual(errors, []);
		assert.equal((await result.steps)[0].toolCalls[0].toolName, "weather");
		assert(await result.text);
	};
	checks[`${name}SchemaBound`] = async () => {
		const output = Output.object({ schema: Weather });
		Weather.parse((await generateText({ ...ask, model, output, maxOutputTokens: 96 })).output);
	};
}
checks.errors = async () => {
	await assert.rejects(generateText({ ...ask, model: openai("nothing") }), /does not exist/);
	await assert.rejects(generateText({ ...ask, model: openai.chat(MODEL), temperature: 5 }), /temperature/);
};

await run("ai", checks);
