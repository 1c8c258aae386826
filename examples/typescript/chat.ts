// Stream a chat completion from a Gonka network with OpenAI's npm package.
//
// Start a network with `make devnet`. In another terminal, with Node.js 20 or newer:
//
//     npm --prefix examples ci      # `make devnet` has done this already
//     cd examples
//     npx tsx typescript/chat.ts "What is a blockchain?"
//
// OPENAI_BASE_URL, OPENAI_API_KEY and GONKA_MODEL choose another gateway, key and model.

import OpenAI from "openai";

async function main(question: string): Promise<void> {
	const client = new OpenAI({
		baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8080/v1",
		apiKey: process.env.OPENAI_API_KEY ?? "sk-gonka-devnet",
	});
	const stream = await client.chat.completions.create({
		model: process.env.GONKA_MODEL ?? "SmolLM2-135M-Instruct",
		messages: [{ role: "user", content: question }],
		max_tokens: 64,
		stream: true,
		stream_options: { include_usage: true },
	});
	for await (const chunk of stream) {
		// The last chunk has no choices: it carries the number of tokens that the gateway pays for.
		process.stdout.write(chunk.choices[0]?.delta.content ?? "");
		if (chunk.usage) {
			const { prompt_tokens: prompt, completion_tokens: completion } = chunk.usage;
			console.log(`\n[${prompt} prompt tokens, ${completion} completion tokens]`);
		}
	}
}

main(process.argv.slice(2).join(" ") || "Name a colour.").catch((error: unknown) => {
	console.error(error);
	process.exitCode = 1;
});
