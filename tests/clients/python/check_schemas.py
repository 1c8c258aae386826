"""Answers bound to the schemas of the JSON Schema test suite, whose folder is the argument.

Requests an answer to each distinct schema of the suite with `strict`, then to random compositions of those that the gateway accepts,
until a number of answers have come to an end. Each of these must follow its schema, and each schema that is rejected must be
rejected with 400 and a reason. Prints a table by keyword.
"""

import asyncio
import collections
import copy
import decimal
import json
import os
import pathlib
import random
import re
import sys
from importlib.metadata import version

import httpx
import jsonschema
import referencing.exceptions
from checks import API_KEY, BASE_URL, MODEL

SEED = 20_261_129
ANSWERS = int(os.environ.get("GONKA_SCHEMA_ANSWERS", "1000"))
CONCURRENCY = 8
# Numbers of tokens, and biases for tokens that close strings, lists and objects. An answer that is cut is asked for once more.
ATTEMPTS = [(48, 4), (160, 8)]
ENDS = ['"', '"}', '"]', "}", "]", '",']
DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft4": "http://json-schema.org/draft-04/schema#",
}
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
DATA = ("const", "enum", "default", "examples")
# Enough for every number that a token limit leaves room for.
decimal.getcontext().prec = 1000
decimal.getcontext().Emax, decimal.getcontext().Emin = decimal.MAX_EMAX, decimal.MIN_EMIN


class Exact(decimal.Decimal):
    """A number as JSON writes it: doubles would round it."""

    def is_integer(self):
        return self == self.to_integral_value()


def parse(text):
    return json.loads(text, parse_float=Exact)


def is_integer(checker, value):
    return jsonschema.Draft4Validator.TYPE_CHECKER.is_type(value, "integer") or (
        isinstance(value, Exact) and value.is_finite() and value.is_integer()
    )


def multiple_of(validator, divisor, value, schema):
    if validator.is_type(value, "number") and decimal.Decimal(value) % decimal.Decimal(divisor):
        yield jsonschema.ValidationError(f"{value} is not a multiple of {divisor}")


def pattern(validator, regex, value, schema):
    if validator.is_type(value, "string") and not re.search(of_ecma(regex), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {regex!r}")


def of_ecma(regex):
    """An expression of ECMAScript in Python's form: `\\d`, `\\w` and their opposites are about ASCII, other classes are not."""
    digits, words = "0-9", "A-Za-z0-9_"
    within = {"\\d": digits, "\\w": words}
    outside = {"\\d": f"[{digits}]", "\\D": f"[^{digits}]", "\\w": f"[{words}]", "\\W": f"[^{words}]"}
    parts, depth = [], 0
    for part in re.findall(r"\\.|[^\\]", regex, re.DOTALL):
        depth = {"[": 1, "]": 0}.get(part, depth)
        parts.append((within if depth else outside).get(part, part))
    return "".join(parts)


def errors(schema, value):
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    kind = jsonschema.validators.extend(
        kind,
        {"multipleOf": multiple_of, "pattern": pattern},
        type_checker=kind.TYPE_CHECKER.redefine("integer", is_integer),
    )
    return [error.message for error in kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value)]


def keywords(schema):
    """The keywords of a schema and its parts."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key, value in schema.items():
        if key in NAMED and isinstance(value, dict):
            found |= set().union(*map(keywords, value.values()))
        elif key not in DATA:
            found |= keywords(value)
    return found


def patterns(schema):
    """The regular expressions in a schema."""
    if isinstance(schema, list):
        return [found for item in schema for found in patterns(item)]
    if not isinstance(schema, dict):
        return []
    found = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    named = schema.get("patternProperties")
    return found + (list(named) if isinstance(named, dict) else []) + patterns(list(schema.values()))


def suite(folder):
    """The distinct valid schemas of the suite whose patterns Python can read, each with its draft's identifier."""
    distinct = {}
    for draft, identifier in DRAFTS.items():
        kind = jsonschema.validators.validator_for({"$schema": identifier})
        for file in sorted((folder / draft).rglob("*.json")):
            for case in parse(file.read_text()):
                schema = case["schema"]
                if isinstance(schema, bool):
                    continue
                try:
                    kind.check_schema(schema)
                    list(map(re.compile, patterns(schema)))
                except (jsonschema.SchemaError, re.error):
                    continue
                bare = {key: value for key, value in schema.items() if key != "$schema"}
                distinct.setdefault(written(bare), {"$schema": identifier, **schema})
    return list(distinct.values())


def written(value):
    """The JSON of a value, its numbers as they were read."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return str(value) if isinstance(value, Exact) else json.dumps(value)


def composed(schemas, chance):
    """A schema made of two schemas of one draft that have no references."""
    first = chance.choice(schemas)
    second = chance.choice([schema for schema in schemas if schema["$schema"] == first["$schema"]])
    parts = [{key: value for key, value in copy.deepcopy(part).items() if key != "$schema"} for part in (first, second)]
    form = chance.choice(["properties", "optional", "items", "anyOf", "definition"])
    if form in ("properties", "optional"):
        named = dict(zip(("foo", "b"), parts))
        schema = {"type": "object", "properties": named, "additionalProperties": False}
        schema["required"] = list(named) if form == "properties" else ["b"]
    elif form == "items":
        schema = {"type": "array", "items": {"anyOf": parts}, "minItems": 1, "maxItems": 2}
    elif form == "anyOf":
        schema = {"anyOf": parts}
    else:
        schema = {
            "definitions": {"part": parts[0]},
            "type": "object",
            "properties": {"bar": {"$ref": "#/definitions/part"}, "foo": parts[1]},
            "required": ["bar"],
            "additionalProperties": {"$ref": "#/definitions/part"},
        }
    return {"$schema": first["$schema"], **schema}


class Run:
    """Sends the requests, and counts what comes back."""

    def __init__(self, client, ends):
        self.client, self.ends, self.turns = client, ends, asyncio.Semaphore(CONCURRENCY)
        self.counts, self.reasons = collections.Counter(), collections.Counter()
        self.bound, self.rejected = collections.Counter(), collections.Counter()
        self.invalid, self.faults = [], []

    async def ask(self, schema, tokens, bias, seed):
        """Returns the status and the body of the response."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Answer with a short example as JSON."}],
            "max_tokens": tokens,
            "temperature": 1,
            "seed": seed,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": 0}},
            "logit_bias": {str(token): bias for token in self.ends},
        }
        # The schema's numbers go as they were read.
        text = json.dumps(body).replace('"schema": 0', f'"schema": {written(schema)}')
        while True:
            response = await self.client.post("/chat/completions", content=text.encode())
            if response.status_code != 429:
                return response.status_code, response.json()
            await asyncio.sleep(float(response.headers.get("retry-after", 1)))

    async def try_schema(self, schema, seed):
        """Returns whether the gateway accepts the schema."""
        async with self.turns:
            for tokens, bias in ATTEMPTS:
                status, body = await self.ask(schema, tokens, bias, seed)
                if status != 200 or body["choices"][0]["finish_reason"] == "stop":
                    break
        if status == 200:
            choice = body["choices"][0]
            self.counts[choice["finish_reason"]] += 1
            if choice["finish_reason"] == "stop":
                self.judge(schema, choice["message"]["content"])
            return True
        error = body.get("error", {})
        if status != 400 or not error.get("param") or not error.get("message"):
            self.faults.append(f"status {status}: {body}\n  {written(schema)}")
        self.counts["rejected"] += 1
        self.reasons[reason(error.get("message", ""))] += 1
        return False

    def judge(self, schema, answer):
        try:
            found = errors(schema, parse(answer))
        except (ValueError, referencing.exceptions.Unresolvable) as error:
            found = [repr(error)]
        if found:
            self.invalid.append(f"{found[0]}\n  {answer}\n  {written(schema)}")
        done = self.counts["stop"]
        if done % 100 == 0:
            print(f"{done} answers, {self.counts['length']} cut, {self.counts['rejected']} schemas rejected", flush=True)

    async def of_suite(self, schemas):
        """Tries all schemas of the suite, and returns those that are accepted."""
        results = await asyncio.gather(*(self.try_schema(schema, index) for index, schema in enumerate(schemas)))
        for schema, accepted in zip(schemas, results):
            (self.bound if accepted else self.rejected).update(keywords(schema))
        return [schema for schema, accepted in zip(schemas, results) if accepted]

    async def of_compositions(self, schemas, chance):
        """Tries compositions until there are enough answers."""
        parts = [schema for schema in schemas if not keywords(schema) & {"$ref", "$id", "id"}]
        seen = set()
        while self.counts["stop"] < ANSWERS and not len(seen) > 10 * ANSWERS:
            batch = []
            while len(batch) < min(4 * CONCURRENCY, ANSWERS - self.counts["stop"]):
                schema = composed(parts, chance)
                if written(schema) not in seen:
                    seen.add(written(schema))
                    batch.append(schema)
            await asyncio.gather(*(self.try_schema(schema, len(seen) + index) for index, schema in enumerate(batch)))


def reason(message):
    """The part of an error's message that does not depend on the schema."""
    message = re.sub(r"^.*?(cannot be used: )+", "", message)
    message = re.sub(r"^'[^']*schema': ", "", message)
    return re.sub(r"\s+", " ", re.sub(r'( schema, |[/\[{"]).*', r"…", re.sub(r"-?\d[\d.e+]*", "N", message))).strip()[:90]


async def main(folder):
    chance = random.Random(SEED)
    schemas = suite(folder)
    chance.shuffle(schemas)
    print(f"{len(schemas)} distinct valid schemas in the suite, seed {SEED}", flush=True)
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=BASE_URL, headers=headers, timeout=600) as client:
        url = BASE_URL.removesuffix("/v1") + "/tokenize"
        ends = [(await client.post(url, json={"model": MODEL, "prompt": text})).json()["tokens"] for text in ENDS]
        run = Run(client, sorted({tokens[0] for tokens in ends if len(tokens) == 1}))
        accepted = await run.of_suite(schemas)
        of_suite = run.counts.copy()
        await run.of_compositions(accepted, chance)
    report(run, schemas, accepted, of_suite)


def report(run, schemas, accepted, of_suite):
    for text in run.invalid:
        print("INVALID", text)
    for text in run.faults:
        print("FAULT", text)
    stop, cut = run.counts["stop"], run.counts["length"]
    print(f"\nschemas of the suite: {len(schemas)} distinct, {len(accepted)} accepted, {of_suite['rejected']} rejected with 400")
    print(f"compositions of them: {run.counts['rejected'] - of_suite['rejected']} rejected with 400")
    print(f"answers: {stop} came to an end, {of_suite['stop']} of them to schemas of the suite; {cut} were cut by max_tokens")
    print(f"answers that do not follow their schema: {len(run.invalid)}; responses other than 200 and 400 with a reason: {len(run.faults)}\n\nkeyword\taccepted\trejected")
    known = set().union(*(jsonschema.validators.validator_for({"$schema": draft}).VALIDATORS for draft in DRAFTS.values()))
    for key in sorted((run.bound.keys() | run.rejected.keys()) & (known | {"$id", "$anchor", "definitions", "$defs"})):
        print(f"{key}\t{run.bound[key]}\t{run.rejected[key]}")
    print("\nreasons for 400")
    for text, count in run.reasons.most_common():
        print(f"{count}\t{text}")
    print(f"= JSON Schema test suite\t{version('jsonschema')}\t{stop - len(run.invalid)} of {stop}")
    sys.exit(bool(run.invalid or run.faults) or stop < ANSWERS)


asyncio.run(main(pathlib.Path(sys.argv[1])))
