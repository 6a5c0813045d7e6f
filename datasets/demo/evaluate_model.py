#!/usr/bin/env python3
"""Runs the demo's two benchmarks on model.gguf without assay: a second opinion on assay's figures.

The prompts are the five-shot prompts with the first five documents of the
train or dev file; replies are greedy.  GSM8K counts a reply right when the
number after its first "####" is the document's; MMLU takes the likeliest of
" A", " B", " C", " D".

    python3 evaluate_model.py [--gguf model.gguf] [--show 3]
"""

import argparse
import csv
import json
import os
import re
import sys

import numpy as np
import sentencepiece as spm

import demo_text

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "..", "..", "tests", "vectors", "demo")
sys.path.insert(0, VECTORS)
import make_vectors as reference  # noqa: E402  (the float64 forward pass's parts)

BOS, EOS, SHOTS, LONGEST_REPLY = 2, 1, 5, 256
STRICT = re.compile(r"#### (-?[0-9.,]+)")


class Session:
    """One sequence with its keys and values kept, in float32."""

    def __init__(self, meta, tensors):
        self.heads = meta["gemma.attention.head_count"]
        self.theta = meta["gemma.rope.freq_base"]
        self.eps = meta["gemma.attention.layer_norm_rms_epsilon"]
        self.tensors, self.layers = tensors, meta["gemma.block_count"]
        self.position = 0
        self.keys, self.values = [None] * self.layers, [None] * self.layers

    def _rotated(self, x):
        half = x.shape[-1] // 2
        positions = np.arange(self.position, self.position + len(x))
        angle = (positions[:, None, None] * self.theta ** (-np.arange(half) / half)).astype(np.float32)
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)

    def _attention(self, layer, x, weight):
        q = self._rotated((x @ weight("attn_q").T).reshape(len(x), self.heads, -1))
        k = self._rotated((x @ weight("attn_k").T)[:, None])[:, 0]
        v = x @ weight("attn_v").T
        if self.keys[layer] is not None:
            k, v = np.concatenate([self.keys[layer], k]), np.concatenate([self.values[layer], v])
        self.keys[layer], self.values[layer] = k, v
        scores = np.einsum("thk,sk->hts", q, k, optimize=True) / np.float32(np.sqrt(q.shape[-1]))
        scores += np.triu(np.full(scores.shape[1:], -np.inf, np.float32), 1 + len(k) - len(x))
        mixed = reference.softmax(scores) @ v
        return mixed.transpose(1, 0, 2).reshape(len(x), -1) @ weight("attn_output").T

    def feed(self, ids):
        """Appends ids; logits after the last one."""
        embedding = self.tensors["token_embd.weight"]
        x = embedding[ids] * np.float32(np.sqrt(embedding.shape[1]))
        for layer in range(self.layers):
            weight = lambda name: self.tensors[f"blk.{layer}.{name}.weight"]
            x = x + self._attention(layer, reference.rms_norm(x, weight("attn_norm"), self.eps), weight)
            h = reference.rms_norm(x, weight("ffn_norm"), self.eps)
            x = x + (reference.gelu(h @ weight("ffn_gate").T) * (h @ weight("ffn_up").T)) @ weight("ffn_down").T
        self.position += len(ids)
        return reference.rms_norm(x[-1], self.tensors["output_norm.weight"], self.eps) @ embedding.T


def read_jsonl(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_csv(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def reply_to(prompt, model, tokenizer):
    session, ids = Session(*model), []
    scores = session.feed([BOS] + tokenizer.encode(prompt))
    while len(ids) < LONGEST_REPLY and "Question:" not in tokenizer.decode(ids):
        best = int(scores.argmax())
        if best == EOS:
            break
        ids.append(best)
        scores = session.feed([best])
    return tokenizer.decode(ids).split("Question:")[0]


def final_number(text):
    found = STRICT.search(text)
    return found.group(1).replace(",", "").rstrip(".") if found else None


def evaluate_gsm8k(model, tokenizer, show):
    shots = "".join(demo_text.gsm8k_text(d) + "\n\n" for d in read_jsonl("gsm8k", "train.jsonl")[:SHOTS])
    documents, right = read_jsonl("gsm8k", "test.jsonl"), 0
    for i, document in enumerate(documents):
        reply = reply_to(f"{shots}Question: {document['question']}\nAnswer:", model, tokenizer)
        hit = final_number(reply) == final_number(document["answer"])
        right += hit
        if i < show:
            print(f"--- {document['question']}\n{reply.strip()}\n    {'right' if hit else 'wrong'}")
    print(f"gsm8k: {right} of {len(documents)} right")


def evaluate_mmlu(model, tokenizer):
    letters = [tokenizer.encode(f" {letter}")[0] for letter in demo_text.LETTERS]
    total, right = 0, 0
    for subject in demo_text.SUBJECTS:
        dev, test = (read_csv("mmlu", split, f"{subject}_{split}.csv") for split in ("dev", "test"))
        shots = demo_text.mmlu_header(subject) + "".join(demo_text.mmlu_text(r) + "\n\n" for r in dev[:SHOTS])
        hits = 0
        for row in test:
            question = demo_text.mmlu_text(row)[:-2]                  # without " B"
            scores = Session(*model).feed([BOS] + tokenizer.encode(shots + question))
            hits += demo_text.LETTERS[int(scores[letters].argmax())] == row[5]
        print(f"  {subject}: {hits} of {len(test)} right")
        total, right = total + len(test), right + hits
    print(f"mmlu: {right} of {total} right")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", default=os.path.join(HERE, "model.gguf"))
    parser.add_argument("--show", type=int, default=0, help="print the first replies")
    args = parser.parse_args()
    tokenizer = spm.SentencePieceProcessor(model_file=os.path.join(VECTORS, "tokenizer.model"))
    meta, tensors = reference.load(args.gguf)
    model = meta, {name: values.astype(np.float32) for name, values in tensors.items()}
    evaluate_gsm8k(model, tokenizer, args.show)
    evaluate_mmlu(model, tokenizer)


if __name__ == "__main__":
    main()
