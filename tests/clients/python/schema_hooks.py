"""Hooks of schemathesis: most bodies that it generates get the model that is served, and few tokens."""

import os

import schemathesis

MODEL = os.environ.get("GONKA_MODEL", "SmolLM2-135M-Instruct")
LIMITS = {"/v1/responses": "max_output_tokens", "/v1/completions": "max_tokens"}


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        limit = LIMITS.get(context.operation.path, "max_tokens")
        body = {**body, "model": MODEL, limit: 2}
        body.pop("max_completion_tokens", None)
    return body
