#!/usr/bin/env python3
"""Writes manifest.json: each demo data file with its SHA-256 and its number of documents."""

import csv
import glob
import hashlib
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return sum(1 for _ in (csv.reader(file) if path.endswith(".csv") else file))


def describe(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"path": os.path.relpath(path, HERE), "sha256": digest, "rows": rows_of(path)}


def main():
    paths = sorted(glob.glob(os.path.join(HERE, "gsm8k", "*.jsonl")) + glob.glob(os.path.join(HERE, "mmlu", "*", "*.csv")))
    ending = "_test.csv"
    subjects = sorted(os.path.basename(p)[:-len(ending)] for p in paths if p.endswith(ending))
    manifest = {"name": "assay-demo", "licence": "Apache-2.0",
                "files": [describe(p) for p in paths], "mmlu_subjects": subjects}
    with open(os.path.join(HERE, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
