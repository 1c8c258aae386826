"""Serves a GGUF model with llama.cpp's own HTTP server: upstream.py MODEL PORT. Ends when its standard input does."""

import sys

import xllamacpp

model, port = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"]
params.port = int(port)
params.api_keys = ["sk-upstream"]
params.n_ctx = 1024
params.n_parallel = 2
params.cpuparams.n_threads = 1
params.warmup = False
params.verbosity = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
