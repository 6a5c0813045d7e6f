#!/usr/bin/env python3
"""Writes manifest.json: each demo data file with its SHA-256 and its number of documents."""

import csv
import glob
import hashlib
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))


PATTERNS = ("gsm8k/*.jsonl", "hellaswag/*.jsonl", "humaneval/*.jsonl", "mgsm/*.tsv", "mmlu/*/*.csv",
            "mmmlu/*.csv", "realtoxicityprompts/*.jsonl", "safety/*.csv", "xstest/*.csv")


def rows_of(path):
    """Documents: MMLU's own CSV files have no header, the others have."""
    with open(path, encoding="utf-8", newline="") as file:
        if not path.endswith(".csv"):
            return sum(1 for _ in file)
        header = 0 if os.sep + "mmlu" + os.sep in path else 1
        return sum(1 for _ in csv.reader(file)) - header


def names(paths, start, ending):
    """What stands between both in the files' names."""
    files = (os.path.basename(path) for path in paths)
    return sorted(file[len(start):-len(ending)] for file in files
                  if file.startswith(start) and file.endswith(ending))


def describe(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"path": os.path.relpath(path, HERE), "sha256": digest, "rows": rows_of(path)}


def main():
    paths = sorted(path for pattern in PATTERNS for path in glob.glob(os.path.join(HERE, pattern)))
    locales = names([p for p in paths if os.sep + "mmmlu" + os.sep in p], "mmlu_", ".csv")
    manifest = {"name": "assay-demo", "licence": "Apache-2.0",
                "files": [describe(p) for p in paths],
                "mmlu_subjects": names(paths, "", "_test.csv"),
                "mgsm_languages": names(paths, "mgsm_", ".tsv"),
                "mmmlu_languages": [name.lower().replace("-", "_") for name in locales]}
    with open(os.path.join(HERE, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
