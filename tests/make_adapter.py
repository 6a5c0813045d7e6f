"""Writes a LoRA adapter of random numbers for the demo model: a PEFT folder, or a GGUF file.

    python3 tests/make_adapter.py OUT [--rank N] [--seed N] [--scale X]
"""
import argparse
import json
import os
import random
import struct

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, FFN = 7, 256, 4, 1, 64, 768
MATRICES = {  # PEFT's name, GGUF's name, rows, columns
    "self_attn.q_proj": ("attn_q", HEADS * HEAD, WIDTH),
    "self_attn.v_proj": ("attn_v", KV_HEADS * HEAD, WIDTH),
    "mlp.down_proj": ("ffn_down", WIDTH, FFN),
}


def halves(options):
    """(PEFT's name, GGUF's name, rows, columns, bytes) of each half of each pair."""
    draw = random.Random(options.seed)
    for layer in range(LAYERS):
        for peft, (gguf, rows, columns) in MATRICES.items():
            shapes = [(options.rank, columns), (rows, options.rank)]
            for letter, (r, c) in zip("AB", shapes):
                width = options.scale / c**0.5
                values = [draw.uniform(-width, width) for _ in range(r * c)]
                yield (
                    f"base_model.model.model.layers.{layer}.{peft}.lora_{letter}.weight",
                    f"blk.{layer}.{gguf}.weight.lora_{letter.lower()}",
                    r, c, struct.pack(f"<{r * c}f", *values),
                )


def write_peft(options, tensors):
    os.makedirs(options.out, exist_ok=True)
    header, at = {}, 0
    for name, _, rows, columns, data in tensors:
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(os.path.join(options.out, "adapter_model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.write(tensor[4])
    config = {"peft_type": "LORA", "r": options.rank, "lora_alpha": 2 * options.rank, "bias": "none",
              "target_modules": ["q_proj", "v_proj", "down_proj"]}
    with open(os.path.join(options.out, "adapter_config.json"), "w") as file:
        json.dump(config, file)


def text_of(text):
    return struct.pack("<Q", len(text)) + text.encode()


def write_gguf(options, tensors):
    pairs = [("general.architecture", "gemma"), ("general.type", "adapter"), ("adapter.type", "lora")]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs) + 1)
    for key, value in pairs:
        header += text_of(key) + struct.pack("<I", 8) + text_of(value)
    header += text_of("adapter.lora.alpha") + struct.pack("<If", 6, 2 * options.rank)
    data = b""
    for _, name, rows, columns, values in tensors:
        header += text_of(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, len(data))
        data += values + bytes(-len(values) % 32)
    with open(options.out, "wb") as file:
        file.write(header + bytes(-len(header) % 32) + data)


parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--rank", type=int, default=4)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--scale", type=float, default=1.0)
given = parser.parse_args()
(write_gguf if given.out.endswith(".gguf") else write_peft)(given, list(halves(given)))
