// Named checks of a client library against a gateway. Each prints `ok NAME`, or `FAILED NAME` and the reason.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

export const baseURL = process.env.OPENAI_BASE_URL;
export const host = baseURL.replace(/\/v1$/, "");
export const apiKey = process.env.OPENAI_API_KEY;
export const MODEL = process.env.GONKA_MODEL ?? "SmolLM2-135M-Instruct";
export const QUESTION = "How is the weather in Rome?";

export const Place = z.object({ place: z.enum(["Rome", "Oslo"]), unit: z.enum(["celsius", "fahrenheit"]) });
export const Weather = z.object({
	place: z.enum(["Rome", "Oslo"]),
	sky: z.enum(["sunny", "cloudy", "rainy"]),
	isCold: z.boolean(),
});

// Runs the checks, those alone that the command line names, and ends the program.
export async function run(name, checks) {
	const chosen = Object.entries(checks).filter(([check]) => process.argv.length < 3 || process.argv.includes(check));
	let passed = 0;
	for (const [check, body] of chosen) {
		try {
			await body();
			passed += 1;
			console.log("ok", check);
		} catch (error) {
			console.log("FAILED", check);
			console.log(error);
		}
	}
	const manifest = join("node_modules", name, "package.json");
	console.log(`= ${name} (Node)\t${JSON.parse(readFileSync(manifest)).version}\t${passed} of ${chosen.length}`);
	process.exit(passed === chosen.length ? 0 : 1);
}
