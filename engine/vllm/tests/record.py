"""Records responses of a server for engine/tests/verified.rs: record.py URL > engine/tests/vllm.json

The requests are those of that test. The bytes of tokens are recorded as far as the completions have them.
"""

import hashlib
import json
import sys
import urllib.request

URL = sys.argv[1].rstrip("/")
TEXT = "Once upon a time there was"


def call(path: str, body=None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return response.read()


def key(seed: int) -> str:
    return hashlib.blake2b(b"gonka/tape" + seed.to_bytes(8, "little"), digest_size=32).hexdigest()


def sampling(**changes) -> dict:
    names = ("temperature", "top_k", "top_p", "min_p", "repetition", "presence", "frequency")
    return {**dict(zip(names, (1000, 0, 1_000_000, 0, 1000, 0, 0))), **changes}


def record(prompt: list[int], key: str, sampling: dict, max_tokens: int, ends: list[int]) -> dict:
    common = {"prompt": prompt, "delivered": 0, "key": key, "sampling": sampling}
    generate = {**common, "max_tokens": max_tokens, "stop_token_ids": ends}
    stream = call("/gonka/v1/generate", generate).decode()
    events = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    check = {**common, "output": [id for event in events for id in event["ids"]]}
    result = json.loads(call("/gonka/v1/check", check))
    return {"generate": generate, "stream": stream, "check": check, "result": result}


info = json.loads(call("/gonka/v1/info"))
vocabulary = json.loads(call("/gonka/v1/vocabulary"))
prompt = json.loads(call("/tokenize", {"model": info["model"], "prompt": TEXT, "add_special_tokens": True}))["tokens"]
chat = {"model": info["model"], "messages": [{"role": "user", "content": "Say only the word yes."}]}
chat = {**chat, "add_generation_prompt": True, "add_special_tokens": False}
question = json.loads(call("/tokenize", chat))["tokens"]
# The end ids as the engine finds them: those of the server, then those with usual names.
ends = list(info["end_ids"])
for name in ("<|endoftext|>", "<|im_end|>"):
    ids = json.loads(call("/tokenize", {"model": info["model"], "prompt": name, "add_special_tokens": False}))["tokens"]
    ends += [id for id in ids if id not in ends]
penalised = sampling(temperature=800, top_k=40, top_p=950_000, repetition=1100, presence=500, frequency=200)
completions = [
    record(prompt, key(0), sampling(temperature=0), 16, ends),
    record(prompt, key(7), sampling(), 24, ends),
    record(prompt, key(8), penalised, 24, ends),
    record(question, key(0), sampling(temperature=0), 40, ends),
]
used = {id for each in completions for id in each["check"]["output"]}
recorded = {
    "info": info,
    "special": vocabulary["special"],
    "bytes": {id: vocabulary["bytes"][id] for id in sorted(used)},
    "ends": ends,
    "completions": completions,
}
print(json.dumps(recorded, indent="\t", ensure_ascii=False))
