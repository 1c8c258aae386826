"""Serves a GGUF model with llama.cpp's own HTTP server: server.py MODEL THREADS SLOTS CONTEXT. Ends when its standard input does."""

import sys

import xllamacpp

model, threads, slots, context = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_parallel = int(slots)
params.n_ctx = int(context) * int(slots)
params.cpuparams.n_threads = int(threads)
params.cpuparams_batch.n_threads = int(threads)
params.verbosity = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
