#!/usr/bin/env python3
"""Makes this folder's vectors from the demo model, independently of assay and of the training script.

  tokenizer_cases.jsonl  texts and their ids by the SentencePiece library, no <bos>
  logits_tokens.json     the ids of a short prompt
  logits_last.f32        float32 logits after its last four positions, (4, vocab);
                         computed in float64 from the values that the Q8_0 file holds

    python3 make_vectors.py [model.gguf]

Letters: T = tokens, D = hidden size, H = heads, K = head size.
"""

import json
import os
import struct
import sys

import numpy as np
import sentencepiece as spm

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO_MODEL = os.path.join(HERE, "..", "..", "..", "datasets", "demo", "model.gguf")
BOS = 2
PROMPT = "Question: Tom has 12 apples. He buys 5 more and eats 3. How many apples does Tom have left?\nAnswer:"
PROMPT_TOKENS, KEPT_POSITIONS = 24, 4

WORDS = """hello world|Hello, World!|The quick brown fox.|don't|it's 5 o'clock|e-mail@example.org|
https://example.org/a?b=c&d=1|snake_case_name|CamelCaseName|UPPER lower|a,b;c:d.e|(x) [y] {z}|"quoted"|'single'|
100%|#hashtag|$5.00|1,234,567.89|-42|3.14159|0x1F|1e-9|50/2=25|48/2 = <<48/2=24>>24|<<5*3=15>>15|#### 18|
apples and oranges|antidisestablishmentarianism|zzzzzzzz|aaaaaaaaaaaaaaaaaaaa|qwxz|xX|I|A|a"""

WHITESPACE = ["", " ", "  ", "   ", " a", "a ", " a ", "  a", "a  b", "a   b    c", " " * 15, " " * 16, " " * 17, " " * 33,
              "\n", "\n\n", "\n\n\n", "\n" * 8, "\n" * 9, "\n" * 17, "a\nb", "a\n\nb", "a \n b", "a\n b", " \n ", "\n a",
              "\t", "\ta", "a\tb", "a\t\tb", "\r\n", "a\r\nb", "\u00a0", "a\u00a0b", "\u3000x", "\u200b", "\u2028",
              "\u2581", "a\u2581b", "\u2581\u2581\u2581", "trailing space ", "trailing newline\n", "\v\f"]

UNICODE = ["\u00e9t\u00e9", "e\u0301", "na\u00efve caf\u00e9", "Stra\u00dfe", "\u4f60\u597d", "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8",
           "\ud55c\uad6d\uc5b4", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd",
           "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
           "\U0001f1e9\U0001f1ea", "a\U0001f600b", "\u20ac5", "x\u00b2 + y\u00b2", "\u2211\u222b\u221a", "\u201cquoted\u201d \u2013 dash", "\ufeffbom", "\ufffd",
           "\U0001d54f", "\x00", "a\x00b", "\x7f", "\uff11\uff12", "\u0661\u0662", "\u00bd"]

CODE = ["int main(void) {\n    return 0;\n}\n", "for i in range(10):\n        print(i)", "if (a<=b && c!=d) { x += 1; }",
        "SELECT * FROM t WHERE id = 7;", "kill -9 1234", "<html><b>bold</b></html>", "[UNK] <s> </s> <0x0A>",
        "\\n is not a newline", "a<<b>>c", "<<<<>>>>", "## ### ####", "=====", "----", "...", "!!!???"]

PROMPTS = ["Question: Tom has 5 apples. He buys 3 more. How many apples does he have now?\nAnswer:",
           "Answer: Tom has 5+3=<<5+3=8>>8 apples.\n#### 8\n\nQuestion:",
           "The following are multiple choice questions (with answers) about high school geography.\n\n",
           "What is the capital of France?\nA. Berlin\nB. Paris\nC. Rome\nD. Madrid\nAnswer:",
           " A", " B", " C", " D", "A", "Answer: B\n\n", "Is this text harmful? Yes or No."]


# --- tokenizer -------------------------------------------------------------------

def tokenizer_cases():
    return [w.strip("\n") for w in WORDS.split("|")] + WHITESPACE + UNICODE + CODE + PROMPTS


def write_tokenizer_cases(tokenizer):
    cases = tokenizer_cases()
    with open(os.path.join(HERE, "tokenizer_cases.jsonl"), "w", encoding="utf-8") as file:
        for text in cases:
            file.write(json.dumps({"text": text, "ids": tokenizer.encode(text)}) + "\n")
    return len(cases)


# --- the GGUF file ---------------------------------------------------------------

class Reader:
    """Reads the few value types that the demo model's file uses."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0

    def number(self, code):
        value = struct.unpack_from("<" + code, self.data, self.at)[0]
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.number("I"), self.number("Q")
            return [self.value(element) for _ in range(count)]
        return self.number({4: "I", 5: "i", 6: "f", 7: "?"}[kind])


def dequantized(data, offset, shape, kind):
    """A tensor as float64; kind is 0 (F32) or 8 (Q8_0: blocks of a float16 scale and 32 bytes)."""
    count = int(np.prod(shape))
    if kind == 0:
        return np.frombuffer(data, "<f4", count, offset).astype(np.float64)
    assert kind == 8, "only F32 and Q8_0 are expected"
    blocks = np.frombuffer(data, [("scale", "<f2"), ("quants", "i1", 32)], count // 32, offset)
    values = blocks["scale"].astype(np.float64)[:, None] * blocks["quants"].astype(np.float64)
    return values.reshape(shape)


def load(path):
    """(metadata, tensors) of a GGUF file."""
    r = Reader(path)
    assert r.data[:4] == b"GGUF", "not a GGUF file"
    r.at = 4
    assert r.number("I") == 3, "only version 3 is expected"
    tensor_count, entry_count = r.number("Q"), r.number("Q")
    meta = {}
    for _ in range(entry_count):
        key = r.string()
        meta[key] = r.value(r.number("I"))
    infos = []
    for _ in range(tensor_count):
        name, dimensions = r.string(), r.number("I")
        shape = tuple(reversed([r.number("Q") for _ in range(dimensions)]))
        infos.append((name, shape, r.number("I"), r.number("Q")))
    align = meta.get("general.alignment", 32)
    start = -(-r.at // align) * align
    return meta, {name: dequantized(r.data, start + offset, shape, kind) for name, shape, kind, offset in infos}


# --- the forward pass, in float64 ------------------------------------------------

def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def rotated(x, theta):
    """RoPE on (T, H, K): each value turns with the one half a head away."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[0])[:, None, None] * theta ** (-np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * np.cos(angle) - second * np.sin(angle),
                           second * np.cos(angle) + first * np.sin(angle)], axis=-1)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(x, weights, heads, kv_heads, theta):
    T = x.shape[0]
    q, k, v = (x @ weights[name].T for name in ("attn_q", "attn_k", "attn_v"))
    q = rotated(q.reshape(T, heads, -1), theta)
    k = rotated(k.reshape(T, kv_heads, -1), theta)
    v = v.reshape(T, kv_heads, -1)
    future = np.triu(np.full((T, T), -np.inf), 1)
    mixed = []
    for h in range(heads):
        shared = h * kv_heads // heads
        scores = q[:, h] @ k[:, shared].T / np.sqrt(q.shape[-1]) + future
        mixed.append(softmax(scores) @ v[:, shared])
    return np.concatenate(mixed, axis=-1) @ weights["attn_output"].T


def logits(meta, tensors, ids):
    """(T,) ids -> (T, vocab) logits."""
    eps, theta = meta["gemma.attention.layer_norm_rms_epsilon"], meta["gemma.rope.freq_base"]
    heads, kv_heads = meta["gemma.attention.head_count"], meta["gemma.attention.head_count_kv"]
    embedding = tensors["token_embd.weight"]
    x = embedding[ids] * np.sqrt(embedding.shape[1])
    for layer in range(meta["gemma.block_count"]):
        prefix = f"blk.{layer}."
        w = {name[len(prefix):-len(".weight")]: t for name, t in tensors.items() if name.startswith(prefix)}
        x = x + attention(rms_norm(x, w["attn_norm"], eps), w, heads, kv_heads, theta)
        h = rms_norm(x, w["ffn_norm"], eps)
        x = x + (gelu(h @ w["ffn_gate"].T) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return rms_norm(x, tensors["output_norm.weight"], eps) @ embedding.T


def main():
    tokenizer = spm.SentencePieceProcessor(model_file=os.path.join(HERE, "tokenizer.model"))
    count = write_tokenizer_cases(tokenizer)
    ids = ([BOS] + tokenizer.encode(PROMPT))[:PROMPT_TOKENS]
    last = logits(*load(sys.argv[1] if len(sys.argv) > 1 else DEMO_MODEL), ids)[-KEPT_POSITIONS:]
    with open(os.path.join(HERE, "logits_tokens.json"), "w", encoding="utf-8") as file:
        json.dump(ids, file)
        file.write("\n")
    last.astype("<f4").tofile(os.path.join(HERE, "logits_last.f32"))
    best = [tokenizer.id_to_piece(int(i)) for i in last.argmax(-1)]
    print(f"{count} tokenizer cases; {len(ids)} ids; the last positions go on with {best}")


if __name__ == "__main__":
    main()
