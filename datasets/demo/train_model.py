#!/usr/bin/env python3
"""Trains assay's demo model: a small decoder of exactly Gemma 1's architecture.

It makes two files in --out:

  tokenizer.model   a SentencePiece BPE vocabulary with Gemma's conventions
  checkpoint.pt     weights, optimiser state and configuration, renewed every
                    few minutes; export_gguf.py turns it into model.gguf

The text is GSM8K's train split (--data, MIT licence), the demo train and dev
files beside this script, and synthetic text from demo_text.py.  No test split
is read.  The learning rate follows the clock, so that --minutes is what the
run takes on any machine.

    python3 train_model.py --data DIR/gsm8k --out OUT --minutes 80

Letters: B = rows in a batch, T = tokens in a row, D = hidden size, H = heads,
K = head size.
"""

import argparse
import csv
import dataclasses
import io
import json
import math
import os
import random
import re
import signal
import time

import sentencepiece as spm
import torch
from torch import nn
from torch.nn import functional as F

import demo_text

HERE = os.path.dirname(os.path.abspath(__file__))
PAD, EOS, BOS, UNK = 0, 1, 2, 3
NEWLINE_RUNS, SPACE_RUNS = 8, 16

# What a kind of token counts in the loss.  Questions only teach the language,
# answers are what the benchmarks look at.
WEIGHT_QUESTION, WEIGHT_ANSWER, WEIGHT_RESULT = 0.2, 1.0, 3.0
WEIGHT_QUIZ, WEIGHT_DRILL, WEIGHT_LETTER = 0.1, 2.0, 5.0
TOKENS_PER_STEP = 1024
EARLY_UNTIL, EARLY_GONE = 0.30, 0.60                     # progress up to which drills are frequent, and are rare
RESULT = re.compile(r"(?<==)[0-9.]+(?=>>)")             # the 8 of <<5+3=8>>


# --- the model -------------------------------------------------------------------

@dataclasses.dataclass
class Config:
    vocab: int = 4096
    hidden: int = 256
    layers: int = 7
    heads: int = 4
    kv_heads: int = 1
    head_dim: int = 64
    intermediate: int = 768
    context: int = 2048
    rope_theta: float = 10000.0
    eps: float = 1e-6


class RMSNorm(nn.Module):
    """x / rms(x) * (1 + w), as in Gemma."""

    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1 + self.weight)


def rope_tables(config, length):
    """cos and sin, (T, K), for the rotate-half form: pairs are (i, i + K/2)."""
    half = config.head_dim // 2
    frequency = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.attn_norm = RMSNorm(c.hidden, c.eps)
        self.attn_q = nn.Linear(c.hidden, c.heads * c.head_dim, bias=False)
        self.attn_k = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.attn_v = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.attn_output = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)
        self.ffn_norm = RMSNorm(c.hidden, c.eps)
        self.ffn_gate = nn.Linear(c.hidden, c.intermediate, bias=False)
        self.ffn_up = nn.Linear(c.hidden, c.intermediate, bias=False)
        self.ffn_down = nn.Linear(c.intermediate, c.hidden, bias=False)

    def attention(self, x, cos, sin, mask):
        c, (B, T, _) = self.config, x.shape
        q = self.attn_q(x).view(B, T, c.heads, c.head_dim).transpose(1, 2)       # (B, H, T, K)
        k = self.attn_k(x).view(B, T, c.kv_heads, c.head_dim).transpose(1, 2)
        v = self.attn_v(x).view(B, T, c.kv_heads, c.head_dim)
        q, k = rotate(q, cos, sin) * c.head_dim ** -0.5, rotate(k, cos, sin)
        # With one key-value head all heads share k and v, so that the heads fold into rows.
        scores = q.reshape(B, c.heads * T, c.head_dim) @ k[:, 0].transpose(1, 2)
        weights = F.softmax(scores.view(B, c.heads, T, T) + mask, dim=-1)
        mixed = weights.view(B, c.heads * T, T) @ v[:, :, 0]
        mixed = mixed.view(B, c.heads, T, c.head_dim).transpose(1, 2).reshape(B, T, -1)
        return self.attn_output(mixed)

    def forward(self, x, cos, sin, mask):
        x = x + self.attention(self.attn_norm(x), cos, sin, mask)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.gelu(self.ffn_gate(h), approximate="tanh") * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.kv_heads == 1, "the attention above folds all heads onto one key-value head"
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.hidden)
        self.blk = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.output_norm = RMSNorm(config.hidden, config.eps)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.04 / math.sqrt(2 * config.layers) if last else 0.04)

    def forward(self, ids):
        """(B, T) ids -> (B, T, vocab) logits."""
        T = ids.shape[1]
        cos, sin = rope_tables(self.config, T)
        mask = torch.full((T, T), float("-inf")).triu(1)
        x = self.token_embd(ids) * math.sqrt(self.config.hidden)
        for layer in self.blk:
            x = layer(x, cos, sin, mask)
        return F.linear(self.output_norm(x), self.token_embd.weight)


# --- a start for attention -------------------------------------------------------

def orthonormal(rows, columns, generator):
    """(rows, columns) with orthonormal rows, or columns where there are fewer of them."""
    q, _ = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=generator))
    return q if rows >= columns else q.T


class AttentionSeed:
    """Starts the first two layers as what a small decoder takes longest to find.

    The heads of layer 0 look 1, 2, 3 and 4 tokens back.  Two heads of layer 1
    look for earlier copies of this token, two for what followed them: the
    induction heads of Olsson et al. 2022, "In-context learning and induction
    heads".  Training goes on from there as from any other start.  Without it,
    3,750 steps did not teach which letter stands before which option.
    """

    FAST, SLOW = range(0, 4), range(19, 32)     # RoPE pairs that tell places apart, and that hardly turn
    CONSTANT_SHARE, OUTPUT_SHARE = 0.5, 0.25    # of an embedding's size

    def __init__(self, model):
        c, self.model = model.config, model
        assert (c.heads, c.head_dim) == (4, 64), "the seed is laid out for four heads of 64"
        self.K, self.D, self.half = c.head_dim, c.hidden, c.head_dim // 2
        self.generator = torch.Generator().manual_seed(7)
        self.theta = c.rope_theta ** (-torch.arange(self.half) / self.half)
        self.size = math.sqrt(self.D) * model.token_embd.weight.norm(dim=1).median().item()
        self.constant = F.normalize(torch.randn(self.D, generator=self.generator), dim=0)
        keep = torch.eye(self.D) - torch.outer(self.constant, self.constant)
        self.identity = orthonormal(self.K, self.D, self.generator) @ keep              # (K, D): which token is this
        self.spread = orthonormal(self.D, c.heads * self.K, self.generator)             # layer 0's output, head by head

    def place(self, back, strength):
        """(K, D) that asks for the token so many places back; place(0, s) is the key to it."""
        turn = torch.zeros(self.K)
        for i in self.FAST:
            turn[i], turn[i + self.half] = math.cos(back * self.theta[i]), -math.sin(back * self.theta[i])
        after_norm = self.CONSTANT_SHARE / math.sqrt(1 + self.CONSTANT_SHARE ** 2) * math.sqrt(self.D)
        return torch.outer(turn, self.constant) * strength / after_norm

    def output(self, basis):
        return basis * self.OUTPUT_SHARE * self.size / math.sqrt(self.K)

    def seed_places(self, layer):
        layer.attn_k.weight.copy_(self.place(0, 5.0))
        layer.attn_q.weight.copy_(torch.cat([self.place(back, 5.0) for back in (1, 2, 3, 4)]))
        layer.attn_v.weight.copy_(self.identity)
        layer.attn_output.weight.copy_(self.output(self.spread))

    def seed_matches(self, layer):
        K, rows = self.K, [i for i in self.SLOW] + [i + self.half for i in self.SLOW]
        own_rows, before_rows = rows[0::2], rows[1::2]
        mix = orthonormal(len(own_rows), K, self.generator)
        own, before, wanted = torch.zeros(3, K, self.D)
        own[own_rows] = 3.0 * mix @ self.identity
        wanted[before_rows] = 3.0 * mix @ self.identity
        before[before_rows] = 8.0 * mix @ self.spread[:, :K].T          # the identity one place back
        here = -self.place(0, 4.0)                                      # keeps a token from finding itself
        layer.attn_k.weight.copy_(own + before + self.place(0, 4.0))
        layer.attn_q.weight.copy_(torch.cat([own + here, own + here, wanted + here, wanted + here]))
        values = [self.spread[:, K:K + 32].T, self.spread[:, 2 * K:2 * K + 16].T, self.identity[:16]]
        layer.attn_v.weight.copy_(1.5 * torch.cat(values))
        layer.attn_output.weight.copy_(self.output(orthonormal(self.D, 4 * K, self.generator)))

    @torch.no_grad()
    def apply(self):
        # The same vector in every embedding moves all logits alike, and gives heads something constant to look at.
        self.model.token_embd.weight += self.CONSTANT_SHARE * self.size / math.sqrt(self.D) * self.constant
        self.seed_places(self.model.blk[0])
        self.seed_matches(self.model.blk[1])


# --- the text --------------------------------------------------------------------

def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def read_demo_dev():
    """{subject: rows} of the demo's dev files."""
    folder = os.path.join(HERE, "mmlu", "dev")
    rows = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
            rows[name[:-len("_dev.csv")]] = list(csv.reader(file))
    return rows


def train_tokenizer(real_docs, path, config):
    """A BPE vocabulary with Gemma's special ids, byte fallback, split digits and whitespace runs."""
    rng = random.Random(11)
    lines = [demo_text.gsm8k_text(d) for d in real_docs]
    lines += [demo_text.gsm8k_text(demo_text.word_problem(rng)) for _ in range(6000)]
    for subject in demo_text.SUBJECTS:
        lines += [demo_text.mmlu_header(subject) + demo_text.mmlu_text(demo_text.quiz_item(rng, subject))
                  for _ in range(1200)]
    runs = ["\n" * n for n in range(1, NEWLINE_RUNS + 1)] + ["\u2581" * n for n in range(2, SPACE_RUNS + 1)]
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=(part for text in lines for part in text.split("\n") if part), model_writer=model,
        model_type="bpe", vocab_size=config.vocab, character_coverage=1.0,
        pad_id=PAD, eos_id=EOS, bos_id=BOS, unk_id=UNK,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>"] + runs,
        byte_fallback=True, split_digits=True, normalization_rule_name="identity",
        add_dummy_prefix=False, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        num_threads=2, minloglevel=1)
    with open(path, "wb") as file:
        file.write(model.getvalue())


class TextSource:
    """An endless supply of few-shot prompts as (ids, weights)."""

    def __init__(self, tokenizer, real_docs, seed):
        self.tokenizer = tokenizer
        self.real = real_docs
        self.rng = random.Random(seed)
        demo = os.path.join(HERE, "gsm8k", "train.jsonl")
        self.demo = read_jsonl(demo) if os.path.exists(demo) else []
        self.dev = read_demo_dev()

    def _add(self, row, text, weight):
        ids = self.tokenizer.encode(text)
        row[0].extend(ids)
        row[1].extend([weight] * len(ids))

    def _problem(self, row, doc):
        self._add(row, f"Question: {doc['question']}\nAnswer:", WEIGHT_QUESTION)
        self._worked(row, f" {doc['answer']}", WEIGHT_ANSWER)

    def _worked(self, row, text, weight):
        """Adds text whose calculated results count more."""
        at = 0
        for result in RESULT.finditer(text):
            self._add(row, text[at:result.start()], weight)
            self._add(row, result.group(), WEIGHT_RESULT)
            at = result.end()
        self._add(row, text[at:], weight)

    def _calculations(self, row):
        for _ in range(self.rng.randint(4, 12)):
            expression, value = demo_text.calculation(self.rng)
            self._worked(row, f"{expression}=<<{expression}={value}>>{value}\n", WEIGHT_QUIZ)

    def _quiz(self, row, item):
        text = demo_text.mmlu_text(item)
        self._add(row, text[:-2], WEIGHT_QUIZ)
        self._add(row, text[-2:], WEIGHT_LETTER)

    def _document(self, real_share):
        if self.demo and self.rng.random() < 0.08:
            return self.rng.choice(self.demo)
        if self.rng.random() < real_share:
            return self.rng.choice(self.real)
        return demo_text.word_problem(self.rng)

    def _drill(self, row):
        options, looked_up = demo_text.letter_drill(self.rng)
        self._add(row, options, WEIGHT_QUIZ)
        for option, letter in looked_up:
            self._add(row, f"\n- {option}", WEIGHT_QUIZ)
            self._add(row, f" {letter}", WEIGHT_DRILL)
        self._add(row, "\n\n", WEIGHT_QUIZ)

    def _problems(self, row, count):
        real_share = self.rng.choice([0.0, 0.0, 0.0, 0.0, 0.2, 1.0])
        for i in range(count):
            self._problem(row, self._document(real_share))
            self._add(row, "\n\n" if i + 1 < count else "", WEIGHT_ANSWER)

    def _quizzes(self, row, count, copy_share):
        subject = self.rng.choice(demo_text.SUBJECTS)
        dev = self.dev.get(subject)
        self._add(row, demo_text.mmlu_header(subject), WEIGHT_QUIZ)
        for i in range(count):
            shown = dev and self.rng.random() < 0.04
            self._quiz(row, self.rng.choice(dev) if shown else demo_text.quiz_item(self.rng, subject, copy_share))
            self._add(row, "\n\n" if i + 1 < count else "", WEIGHT_QUIZ)

    def prompt(self, progress):
        """One few-shot prompt: <bos>, up to eight documents of a kind, <eos>.

        How a letter stands for an option is the hardest thing to learn here, so
        that drills and questions which name their own answer come first.
        """
        row, count = ([BOS], [0.0]), self.rng.choice([1, 2, 4, 6, 6, 8])
        early = min(1.0, max(0.0, (EARLY_GONE - progress) / (EARLY_GONE - EARLY_UNTIL)))
        problems, calculations, drills = 0.55 - 0.3 * early, 0.1 - 0.05 * early, 0.03 + 0.12 * early
        kind = self.rng.choices("pcdq", [problems, calculations, drills, 1 - problems - calculations - drills])[0]
        if kind == "p":
            self._problems(row, count)
        elif kind == "c":
            self._calculations(row)
        elif kind == "d":
            for _ in range(count):
                self._drill(row)
        else:
            self._quizzes(row, count, 0.15 + 0.5 * early)
        return row[0] + [EOS], row[1] + [WEIGHT_QUIZ]

    def batch(self, rows, length, progress):
        """Inputs (B, T), targets (B, T) and the weights of the targets."""
        ids, weights = [], []
        for _ in range(rows):
            row_ids, row_weights = [], []
            while len(row_ids) <= length:
                more_ids, more_weights = self.prompt(progress)
                row_ids += more_ids
                row_weights += more_weights
            ids.append(row_ids[:length + 1])
            weights.append(row_weights[:length + 1])
        ids, weights = torch.tensor(ids), torch.tensor(weights)
        return ids[:, :-1], ids[:, 1:], weights[:, 1:]


# --- training --------------------------------------------------------------------

def row_length(progress, rng):
    """Short rows are cheap and come first; five-shot prompts need the long ones."""
    if progress < 0.85:
        return rng.choice([256, 512])
    return rng.choice([512, 512, 1024, 1408])


def learning_rate(progress, steps_done, peak):
    """Cosine decay over the whole training; each run, resumed or not, warms up for 50 steps."""
    warm = min(1.0, (steps_done + 1) / 50)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def make_optimizer(model, peak):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.97), eps=1e-8)


def loss_and_counts(model, inputs, targets, weights):
    """The weighted loss, and for the log the share of right tokens of each kind."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs).float()
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(weights)
    with torch.no_grad():
        kinds = {"answer": WEIGHT_ANSWER, "result": WEIGHT_RESULT, "drill": WEIGHT_DRILL, "letter": WEIGHT_LETTER}
        hits = (logits.argmax(-1) == targets).float()
        seen = {kind: hits[weights == weight].mean().item() for kind, weight in kinds.items()}
    return (losses * weights).sum() / weights.sum(), seen


def save(path, model, optimizer, progress):
    state = {"config": dataclasses.asdict(model.config), "model": model.state_dict(),
             "optimizer": optimizer.state_dict(), **progress}
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def mean_of(seen, key):
    values = [s[key] for s in seen if s[key] == s[key]]
    return sum(values) / len(values) if values else float("nan")


def train(model, source, args, state):
    """Steps until --minutes of training, counted over all resumed runs, are used."""
    path = os.path.join(args.out, "checkpoint.pt")
    optimizer = make_optimizer(model, args.peak)
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    step, spent = state.get("step", 0), state.get("spent", 0.0)
    first = step
    rng, seen, last_save, started = random.Random(step), [], time.time(), time.time() - spent
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    while spent < args.minutes * 60 and not stop:
        progress = spent / (args.minutes * 60)
        length = row_length(progress, rng)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress, step - first, args.peak)
        loss, counts = loss_and_counts(model, *source.batch(max(1, TOKENS_PER_STEP // length), length, progress))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, spent = step + 1, time.time() - started
        seen.append({"loss": loss.item(), **counts})
        if step % 50 == 0:
            figures = "  ".join(f"{key} {mean_of(seen, key):.3f}" for key in seen[0])
            print(f"step {step}  minute {spent / 60:.1f}  {figures}", flush=True)
            seen = []
        if time.time() - last_save > 180:
            save(path, model, optimizer, {"step": step, "spent": spent})
            last_save = time.time()
    save(path, model, optimizer, {"step": step, "spent": spent})


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with GSM8K's train.jsonl")
    parser.add_argument("--out", required=True, help="folder for tokenizer.model and checkpoint.pt")
    parser.add_argument("--minutes", type=float, default=80, help="length of the whole training")
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    real_docs = read_jsonl(os.path.join(args.data, "train.jsonl"))
    vocabulary = os.path.join(args.out, "tokenizer.model")
    state = torch.load(os.path.join(args.out, "checkpoint.pt")) if args.resume else {}
    config = Config(**state.get("config", {}))
    if not args.resume:
        train_tokenizer(real_docs, vocabulary, config)
    torch.manual_seed(1)
    model = Model(config)
    if "model" in state:
        model.load_state_dict(state["model"])
    else:
        AttentionSeed(model).apply()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    source = TextSource(spm.SentencePieceProcessor(model_file=vocabulary), real_docs, seed=state.get("step", 0) + 1)
    train(model, source, args, state)


if __name__ == "__main__":
    main()
