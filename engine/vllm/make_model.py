"""Writes a GGUF model as a folder that vLLM reads, with weights in float32: make_model.py FILE.gguf FOLDER"""

import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

source, folder = sys.argv[1:]
where, name = os.path.split(source)
tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
# The weights are not quantised any more, but transformers would not save a model that says it came from such a file.
model.is_quantized = False
for attribute in ("hf_quantizer", "quantization_method"):
    if hasattr(model, attribute):
        setattr(model, attribute, None)
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
