#!/usr/bin/env python3
"""Writes train_model.py's checkpoint as a GGUF v3 file: matrices in Q8_0, norms in F32.

The file is what an engine that runs Gemma 1 expects: the architecture is
"gemma", norm weights have 1 added, and the vocabulary of tokenizer.model is
inside (tokenizer.ggml.model "llama", that is SentencePiece BPE).

    python3 export_gguf.py OUT/checkpoint.pt OUT/tokenizer.model model.gguf
"""

import argparse
import struct

import numpy as np
import torch

ALIGNMENT = 32
Q8_0_BLOCK = 32
FILE_TYPE_MOSTLY_Q8_0 = 7
TENSOR_F32, TENSOR_Q8_0 = 0, 8
PIECE_CONTROL = 3
TURN_PIECES = ("<start_of_turn>", "<end_of_turn>")

# GGUF's numbers for the types of metadata values.
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PACK = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}


# --- the SentencePiece vocabulary ------------------------------------------------

def read_varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def protobuf_fields(data):
    """(number, value) of each field of a protocol buffer message; bytes for wire types 2 and 5."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = read_varint(data, at)
        else:
            if wire == 2:
                size, at = read_varint(data, at)
            else:
                size = {1: 8, 5: 4}[wire]
            value, at = data[at:at + size], at + size
        yield number, value


def read_pieces(path):
    """(text, score, type) of each piece; SentencePiece's numbers for the types are also GGUF's."""
    with open(path, "rb") as file:
        model = file.read()
    pieces = []
    for number, value in protobuf_fields(model):
        if number == 1:
            fields = dict(protobuf_fields(value))
            score = struct.unpack("<f", fields[2])[0] if 2 in fields else 0.0
            pieces.append((fields[1].decode("utf-8"), score, fields.get(3, 1)))
    return pieces


# --- GGUF ------------------------------------------------------------------------

def packed_string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def packed_value(kind, value):
    return packed_string(value) if kind == STRING else struct.pack(PACK[kind], value)


def packed_entry(key, kind, value, element=None):
    head = packed_string(key) + struct.pack("<I", kind)
    if kind != ARRAY:
        return head + packed_value(kind, value)
    return head + struct.pack("<IQ", element, len(value)) + b"".join(packed_value(element, v) for v in value)


def quantize_q8_0(matrix):
    """Blocks of 32 values: a float16 scale, then 32 signed bytes."""
    blocks = matrix.astype(np.float32).reshape(-1, Q8_0_BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    quants = np.rint(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.int8), quants], axis=1).tobytes()


def metadata(config, pieces):
    """The key-value section, one packed entry per item."""
    c = config
    texts, scores, types = (list(column) for column in zip(*pieces))
    for i, text in enumerate(texts):  # a user's text may not become a turn
        if text in TURN_PIECES:
            types[i] = PIECE_CONTROL
    return [
        packed_entry("general.architecture", STRING, "gemma"),
        packed_entry("general.name", STRING, "assay-demo"),
        packed_entry("general.license", STRING, "apache-2.0"),
        packed_entry("general.alignment", UINT32, ALIGNMENT),
        packed_entry("general.file_type", UINT32, FILE_TYPE_MOSTLY_Q8_0),
        packed_entry("general.quantization_version", UINT32, 2),
        packed_entry("gemma.context_length", UINT32, c["context"]),
        packed_entry("gemma.embedding_length", UINT32, c["hidden"]),
        packed_entry("gemma.block_count", UINT32, c["layers"]),
        packed_entry("gemma.feed_forward_length", UINT32, c["intermediate"]),
        packed_entry("gemma.attention.head_count", UINT32, c["heads"]),
        packed_entry("gemma.attention.head_count_kv", UINT32, c["kv_heads"]),
        packed_entry("gemma.attention.key_length", UINT32, c["head_dim"]),
        packed_entry("gemma.attention.value_length", UINT32, c["head_dim"]),
        packed_entry("gemma.attention.layer_norm_rms_epsilon", FLOAT32, c["eps"]),
        packed_entry("gemma.rope.freq_base", FLOAT32, c["rope_theta"]),
        packed_entry("tokenizer.ggml.model", STRING, "llama"),
        packed_entry("tokenizer.ggml.pre", STRING, "default"),
        packed_entry("tokenizer.ggml.tokens", ARRAY, texts, STRING),
        packed_entry("tokenizer.ggml.scores", ARRAY, scores, FLOAT32),
        packed_entry("tokenizer.ggml.token_type", ARRAY, types, INT32),
        packed_entry("tokenizer.ggml.padding_token_id", UINT32, 0),
        packed_entry("tokenizer.ggml.eos_token_id", UINT32, 1),
        packed_entry("tokenizer.ggml.bos_token_id", UINT32, 2),
        packed_entry("tokenizer.ggml.unknown_token_id", UINT32, 3),
        packed_entry("tokenizer.ggml.add_bos_token", BOOL, True),
        packed_entry("tokenizer.ggml.add_eos_token", BOOL, False),
        packed_entry("tokenizer.ggml.add_space_prefix", BOOL, False),
    ]


def packed_tensors(state):
    """(name, shape, type, bytes) of each tensor; norms get Gemma's 1 added."""
    for name, tensor in state.items():
        values = tensor.float().numpy()
        if values.ndim == 1:
            yield name, values.shape, TENSOR_F32, (values + np.float32(1)).astype("<f4").tobytes()
        else:
            yield name, values.shape, TENSOR_Q8_0, quantize_q8_0(values)


def padding(size):
    return b"\0" * (-size % ALIGNMENT)


def write_gguf(path, entries, tensors):
    infos, offset = [], 0
    for name, shape, kind, data in tensors:
        sizes = struct.pack(f"<{len(shape)}Q", *reversed(shape))     # GGUF names the fastest dimension first
        infos.append(packed_string(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset))
        offset += len(data) + len(padding(len(data)))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + b"".join(infos)
    with open(path, "wb") as file:
        file.write(head + padding(len(head)))
        for _, _, _, data in tensors:
            file.write(data + padding(len(data)))
    return offset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("tokenizer")
    parser.add_argument("gguf")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu")
    pieces = read_pieces(args.tokenizer)
    assert len(pieces) == state["config"]["vocab"], "the vocabulary and the model differ in size"
    tensors = list(packed_tensors(state["model"]))
    size = write_gguf(args.gguf, metadata(state["config"], pieces), tensors)
    print(f"{args.gguf}: {len(tensors)} tensors, {size} bytes of weights, step {state['step']}")


if __name__ == "__main__":
    main()
