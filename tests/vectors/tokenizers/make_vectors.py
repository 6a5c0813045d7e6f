"""Three small tokenizer.json, trained on the demo data, and texts to try them on.

python3 make_vectors.py && node encode.cjs

encode.cjs adds the ids.  The same demo data gives the same files again.
"""
import collections
import csv
import glob
import json
import random

DEMO = "../../../datasets/demo/"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def demo_words():
    words = collections.Counter()
    for path in sorted(glob.glob(DEMO + "gsm8k/*.jsonl")):
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            words.update((row["question"] + " " + row["answer"]).split())
    for path in sorted(glob.glob(DEMO + "mmlu/*/*.csv")):
        for row in csv.reader(open(path, encoding="utf-8")):
            words.update(" ".join(row).split())
    return words


def byte_alphabet():
    shaped = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = [b for b in range(256) if b not in shaped]
    return {b: chr(b) for b in shaped} | {b: chr(256 + i) for i, b in enumerate(rest)}


def train_merges(words, n):
    split = {word: list(word) for word in words}
    merges = []
    while len(merges) < n:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(split[word], split[word][1:]):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = ["".join(best)]
                i += 1
    return merges


def added(content, i):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def write(name, **fields):
    base = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None}
    with open(name + ".json", "w", encoding="utf-8") as out:
        json.dump(base | fields, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")


def byte_level(words):
    letters = byte_alphabet()
    spelled = collections.Counter()
    for word, count in words.items():
        spelled["".join(letters[b] for b in (" " + word).encode())] += count
    merges = train_merges(spelled, 400)
    vocab = list(dict.fromkeys(list(letters.values()) + ["".join(m) for m in merges]))
    vocab.append("\u0120whole")  # a piece that no merge makes
    write("byte_level",
          added_tokens=[added("<|end|>", len(vocab))], normalizer={"type": "NFC"},
          pre_tokenizer={"type": "Sequence", "pretokenizers": [
              {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated",
               "invert": False},
              {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
               "use_regex": False}]},
          decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                   "use_regex": True},
          model={"type": "BPE", "dropout": None, "unk_token": None,
                 "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                 "byte_fallback": False, "ignore_merges": True,
                 "vocab": {piece: i for i, piece in enumerate(vocab)},
                 "merges": [" ".join(merge) for merge in merges]})


def wordpiece(words):
    lower = collections.Counter()
    for word, count in words.items():
        lower[word.lower()] += count
    pieces = ["".join(m) for m in train_merges(lower, 300)]
    letters = sorted({c for word in lower for c in word} | set("\u4f60\u597d\u00fc\u0131"))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab += letters + pieces + ["##" + piece for piece in letters + pieces]
    vocab = list(dict.fromkeys(vocab))
    write("wordpiece",
          added_tokens=[added(piece, i) for i, piece in enumerate(vocab[:5])],
          normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                      "strip_accents": None, "lowercase": True},
          pre_tokenizer={"type": "BertPreTokenizer"},
          decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
          model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                 "max_input_chars_per_word": 100,
                 "vocab": {piece: i for i, piece in enumerate(vocab)}})


def unigram(words):
    spelled = collections.Counter()
    for word, count in words.items():
        spelled["\u2581" + word] += count
    pieces = ["".join(m) for m in train_merges(spelled, 400)]
    letters = sorted({c for word in spelled for c in word})
    draw = random.Random(7)
    vocab = [["<s>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    vocab += [[piece, -12 + draw.random()] for piece in letters]
    vocab += [[piece, -2 - 6 * draw.random()] for piece in dict.fromkeys(pieces)]
    write("unigram",
          added_tokens=[added(piece, i) for i, (piece, _) in enumerate(vocab[:3])],
          normalizer={"type": "Sequence", "normalizers": [
              {"type": "NFKC"},
              {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
          pre_tokenizer={"type": "Sequence", "pretokenizers": [
              {"type": "WhitespaceSplit"},
              {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True,
               "prepend_scheme": "always"}]},
          decoder={"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True,
                   "prepend_scheme": "always"},
          model={"type": "Unigram", "unk_id": 2, "vocab": vocab, "byte_fallback": False})


def texts(words):
    """Words of the data among signs of many scripts and kinds of white space."""
    draw = random.Random(11)
    common = sorted(words)
    signs = ("it's I'LL \u00bfqu\u00e9? na\u00efve e\u0301 \u00c5 \u212b \ufb01n \u4f60\u597d "
             "\u65e5\u672c\u8a9e \u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940 "
             "\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467 3.14 1,000,000 12345678 x_y "
             "a-b whole \u0130stanbul \u017f").split()
    spaces = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u180e",
              "\u0085", "\u200b", "\ufeff"]
    lines = ["", " ", "a", " a", "x" * 101, "\n", "[CLS] a [SEP]"]
    while len(lines) < 250:
        parts = []
        for _ in range(draw.randrange(1, 14)):
            kind = draw.random()
            parts.append(draw.choice(common) if kind < 0.5 else
                         draw.choice(signs) if kind < 0.75 else
                         chr(draw.randrange(32, 0x250)))
            parts.append(draw.choice(spaces) if draw.random() < 0.4 else " ")
        lines.append("".join(parts))
    # Characters that are newer than the library's tables, or were something else in them.
    for sign in ("\u061d \u09fd \u0a76 \u0c84 \u1b7d \u2e43 \u2e5d \u166d \U000111c9 "
                 "\U00011660 \u07fd \u0898 \u09fe \u180f \u1885 \u1734 \u1abf \u1df6 "
                 "\U0001e130 \u0890 \u08e2 \U00013430 \u32ff \ua7f2 \uab69 \U00010781 "
                 "\U00011938 \U0001e030 \U0001f16c \U0001fbf0").split():
        lines.append(f"a{sign}b {sign} e{sign}\u0301 e\u0301{sign}\u0323 o\u0323\u0301{sign}")
    with open("texts.jsonl", "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps({"text": line}) + "\n")


def main():
    words = demo_words()
    byte_level(words)
    wordpiece(words)
    unigram(words)
    texts(words)


main()
