"""Routes beside those of OpenAI's interface, which `gonka-worker` calls.

- `GET /gonka/v1/info`: versions, the model and its bounds.
- `GET /gonka/v1/vocabulary`: the bytes of all tokens, and the names of special ones.
- `POST /gonka/v1/generate`: streams token ids with their fingerprints.
- `POST /gonka/v1/check`: margins and fingerprints of a completion, by one reading of it.

Errors are `{"error": {"message": …}}`. They say nothing of prompts, and nothing here writes them to a log.
"""

import asyncio
import json
import os
import secrets
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from . import selftest
from .body import CheckBody, GenerateBody, Invalid, parse
from .plugin import Refused
from .service import Missing, Service

#: Bytes of a body for each token of the model's context: a number of up to seven digits with its comma, twice.
_BYTES_A_TOKEN = 32
_OTHER_BYTES = 1 << 16


def _message(error: Exception) -> str:
    """Returns what a client may know: vLLM's own errors may quote a prompt."""
    return str(error) if isinstance(error, Missing) else type(error).__name__


class Busy(RuntimeError):
    """Too many requests run or wait."""


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message}}, status_code=status)


def _keys(args) -> list[str]:
    """Returns the keys that vLLM accepts. Its own middleware does not guard other paths than its own."""
    return [key for key in (args.api_key or [os.environ.get("VLLM_API_KEY", "")]) if key]


class Routes:
    """Entry point of vLLM's endpoint plug-ins."""

    name = "gonka"
    required_tasks = ("generate",)

    def __init__(self):
        self.service: Service | None = None
        self.keys: list[str] = []
        self.running = 0

    async def init_state(self, engine_client, state, args) -> None:
        """Refuses configurations that cannot work, then tries the server itself. Raises `Refused`."""
        selftest.check_configuration(engine_client.vllm_config, args)
        try:
            service = Service(engine_client)
        except (AttributeError, ValueError) as error:
            raise Refused(f"the model's tokenizer is not supported: {error}") from error
        await selftest.run(service)
        self.keys = _keys(args)
        self.service = service

    def attach_router(self, app: FastAPI) -> None:
        """Adds the routes."""
        app.add_api_route("/gonka/v1/info", self.info, methods=["GET"])
        app.add_api_route("/gonka/v1/vocabulary", self.vocabulary, methods=["GET"])
        app.add_api_route("/gonka/v1/generate", self.generate, methods=["POST"])
        app.add_api_route("/gonka/v1/check", self.check, methods=["POST"])

    def _rejection(self, request: Request) -> JSONResponse | None:
        """Returns the response to a request without a right to be served."""
        if self.service is None:
            return _error(503, "the server is starting")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.encode() if scheme.lower() == "bearer" else b""
        if self.keys and not any(secrets.compare_digest(given, own.encode()) for own in self.keys):
            return _error(401, "the key is missing or wrong")
        return None

    async def _body(self, request: Request, kind):
        """Reads a body of a bounded length. Raises `Invalid`."""
        limit = self.service.info["context_length"] * _BYTES_A_TOKEN + _OTHER_BYTES
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise Invalid(f"the body has more than {limit} bytes")
        return parse(bytes(body), kind, self.service.info)

    def _enter(self) -> None:
        """Counts a request: as many may wait as run. Raises `Busy`."""
        if self.running >= 2 * self.service.info["max_requests"]:
            raise Busy(f"{self.running} requests run or wait")
        self.running += 1

    def _leave(self) -> None:
        self.running -= 1

    async def info(self, request: Request) -> JSONResponse:
        """Returns what the server is."""
        return self._rejection(request) or JSONResponse(self.service.info)

    async def vocabulary(self, request: Request) -> JSONResponse:
        """Returns the bytes of all tokens as hexadecimal digits, and the names of special tokens."""
        return self._rejection(request) or JSONResponse(self.service.vocabulary)

    async def generate(self, request: Request):
        """Streams a completion: see `_events`."""
        if rejection := self._rejection(request):
            return rejection
        try:
            body = await self._body(request, GenerateBody)
            self._enter()
        except Invalid as error:
            return _error(400, str(error))
        except Busy as error:
            return _error(503, str(error))
        return _Stream(self._events(body), self._leave)

    async def _events(self, body: GenerateBody):
        """Yields lines of JSON: ids with fingerprints, at last the reason of the end or an error."""
        try:
            async for ids, prints, finish in self.service.generate(body):
                event = {"ids": ids, "fingerprints": [print.hex() for print in prints], "finish": finish}
                yield f"data: {json.dumps(event)}\n\n"
        except Exception as error:
            yield f"data: {json.dumps({'error': {'message': _message(error)}})}\n\n"

    async def check(self, request: Request):
        """Returns margins and fingerprints of a completion's tokens."""
        if rejection := self._rejection(request):
            return rejection
        try:
            body = await self._body(request, CheckBody)
            self._enter()
        except Invalid as error:
            return _error(400, str(error))
        except Busy as error:
            return _error(503, str(error))
        try:
            async with _hang_up(request) as hung_up:
                results = await _first(self.service.check(body), hung_up)
        except Exception as error:
            return _error(500, _message(error))
        finally:
            self._leave()
        if results is None:
            return _error(499, "the client has hung up")
        margins, prints = results
        return JSONResponse({"margins": margins, "fingerprints": [print.hex() for print in prints]})


class _Stream(StreamingResponse):
    """A stream of events that calls a function at its end, also when it ends before it begins."""

    def __init__(self, events, end):
        super().__init__(events, media_type="text/event-stream")
        self.end = end

    async def __call__(self, scope, receive, send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()
            self.end()


@asynccontextmanager
async def _hang_up(request: Request):
    """Provides a task that ends when the client hangs up."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(wait())
    try:
        yield task
    finally:
        task.cancel()


async def _first(work, other: asyncio.Task):
    """Returns the result of `work`, or cancels it and returns nothing if the other task ends first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, other), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
