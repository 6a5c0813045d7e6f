"""Reads what `assay export --format lm-eval` and `--format llm-comparator` wrote, without any of its
code, and compares every number with the rows of the store.

    read_exports.py lm-eval STORE FOLDER        read_exports.py llm-comparator STORE_A STORE_B FILE

Each store holds one run.  What is in the files is what lm_eval/result_schema.py and
llm-comparator's client/lib/types.ts say; hashes are those of lm_eval/evaluator.py.
"""
import glob
import hashlib
import json
import math
import os
import sqlite3
import sys

TOP = ["results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config",
       "git_hash", "date", "model_source", "model_name", "model_name_sanitized", "system_instruction",
       "system_instruction_sha", "fewshot_as_multiturn", "chat_template", "chat_template_sha", "task_hashes",
       "total_evaluation_time_seconds"]
SAMPLE = ["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
          "prompt_hash", "target_hash"]


documents = []  # samples with their rows


def check(condition, what):
    if not condition:
        sys.exit("wrong: %s" % what)


def sha(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def rows(store, sql, *values):
    return store.execute(sql, values).fetchall()


def same_text(said, stored):
    """Bytes that are no UTF-8 are BLOBs in the store, and U+FFFD in the export."""
    if isinstance(stored, bytes):
        return said.replace("\ufffd", "") == stored.decode("utf-8", "ignore").replace("\ufffd", "")
    return said == stored


def same_texts(said, stored):
    return len(said) == len(stored) and all(same_text(x, y) for x, y in zip(said, stored))


def near(a, b):
    return (a is None) == (b is None) and (a is None or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12))


def mean(values):
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def expected_maximum(values, k):
    """Over all ways to draw k of the values, by the definition."""
    from itertools import combinations
    known = [v for v in values if v is not None]
    return mean([max(c) for c in combinations(known, min(k, len(known)))]) if known else None


def document_values(store, task, metric, extraction):
    """{doc_id: value} of the documents that the metric counts."""
    source, best_of, stratum = rows(
        store, "SELECT coalesce(source, metric), best_of, stratum FROM task_metric WHERE task = ? AND metric = ?"
        " AND extraction = ?", task, metric, extraction)[0]
    found = {}
    for doc, value in rows(
            store, "SELECT v.doc_id, v.value FROM verdict v JOIN sample s USING (run, task, doc_id) WHERE v.task = ?"
            " AND v.metric = ? AND v.extraction = ? AND (?4 IS NULL OR s.stratum = ?4)", task, source, extraction,
            stratum):
        found.setdefault(doc, []).append(value)
    return {doc: expected_maximum(v, best_of) if best_of > 1 else mean(v) for doc, v in found.items()}


def read_samples(store, folder, task, results):
    files = glob.glob(os.path.join(glob.escape(folder), "samples_%s_*.jsonl" % glob.escape(task)))
    check(len(files) == 1, "one file of samples for %s" % task)
    with open(files[0], encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    extractions = [e for e, in rows(store, "SELECT extraction FROM task_metric WHERE task = ? GROUP BY extraction"
                                    " ORDER BY min(position)", task)]
    docs = [d for d, in rows(store, "SELECT doc_id FROM sample WHERE task = ? AND state <> 'pending' ORDER BY doc_id",
                             task)]
    check([(x["filter"], x["doc_id"]) for x in lines] == [(e, d) for e in extractions for d in docs],
          "%s: one line for each document and extraction" % task)
    hashed = ""
    for x in lines:
        where = "%s, document %d, %s" % (task, x["doc_id"], x["filter"])
        check(all(key in x for key in SAMPLE), where + ": a member is missing")
        read_sample(store, task, x, where)
        hashed += "".join(x[k] or "?" for k in ("doc_hash", "prompt_hash", "target_hash"))
    check(results["task_hashes"][task] == (None if "?" in hashed else sha(hashed)), task + ": the hash of its samples")
    return len(docs)


def read_sample(store, task, x, where):
    state, doc_hash, prompt, target = rows(
        store, "SELECT s.state, s.doc_hash, p.text, s.target FROM sample s LEFT JOIN prompt p ON p.sha256 ="
        " s.prompt_hash WHERE s.task = ? AND s.doc_id = ?", task, x["doc_id"])[0]
    check(x["state"] == state and x["doc_hash"] == doc_hash, where + ": its row")
    if x["doc"] is not None:
        check(sha(json.dumps(x["doc"], indent=2, ensure_ascii=False)) == doc_hash, where + ": its row")
        documents.append(where)
    asked = list(x["arguments"].values())
    check(list(x["arguments"]) == ["gen_args_%d" % i for i in range(len(asked))], where + ": its arguments")
    check(all(a["arg_0"] == prompt for a in asked), where + ": the prompt")
    check(x["prompt_hash"] == (sha(prompt) if prompt is not None else None), where + ": the prompt's hash")
    check(x["target_hash"] == (sha(x["target"]) if x["target"] is not None else None), where + ": the target's hash")
    choices = rows(store, "SELECT text, logprob, is_greedy FROM choice_logprob WHERE task = ? AND doc_id = ?"
                   " ORDER BY choice", task, x["doc_id"])
    if choices:
        check([a["arg_1"] for a in asked] == [c[0] for c in choices], where + ": its choices")
        said = [[float(r[0][0]), r[0][1]] for r in x["resps"]]
        check(said == [[c[1], str(bool(c[2]))] for c in choices], where + ": their log-probabilities")
        check(x["filtered_resps"] == [r[0] for r in x["resps"]], where + ": and again")
        check(x["target"].isdigit() and choices[int(x["target"])][0].strip() == target.strip(), where + ": the right one")
        return
    check(x["target"] == target, where + ": the target")
    replies = [t for t, in rows(store, "SELECT text FROM reply WHERE task = ? AND doc_id = ? ORDER BY repeat", task,
                                x["doc_id"])]
    check(len(x["resps"]) == bool(replies) and same_texts(sum(x["resps"], []), replies), where + ": the replies")
    if x["filter"] != "none":
        replies = [t for t, in rows(store, "SELECT extracted FROM verdict WHERE task = ? AND doc_id = ? AND extraction ="
                                    " ? ORDER BY repeat", task, x["doc_id"], x["filter"])][:len(replies)]
    filtered = x["filtered_resps"][0] if len(replies) > 1 else x["filtered_resps"]
    check(same_texts(filtered, replies), where + ": what was extracted")


def read_scores(store, task, results, folder):
    with open(glob.glob(os.path.join(glob.escape(folder), "samples_%s_*.jsonl" % glob.escape(task)))[0],
              encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    scores, n = results["results"][task], 0
    guarded = rows(store, "SELECT guard_mode FROM run")[0][0] != "off"
    for metric, extraction in rows(store, "SELECT metric, extraction FROM task_metric WHERE task = ?", task):
        values = document_values(store, task, metric, extraction)
        key, error = "%s,%s" % (metric, extraction), "%s_stderr,%s" % (metric, extraction)
        said = {x["doc_id"]: x[metric] for x in lines if x["filter"] == extraction and metric in x}
        check(said.keys() == values.keys() and all(near(said[d], values[d]) for d in said), "%s %s by document" % (task, key))
        if not values:
            check(key not in scores, "%s %s has no documents" % (task, key))
            continue
        n += 1
        known = [v for v in values.values() if v is not None]
        replies = rows(store, "SELECT repeats FROM task_run WHERE task = ?", task)[0][0] * len(values)
        scored = rows(store, "SELECT count(v.value) FROM verdict v JOIN task_metric m USING (run, task, extraction)"
                      " JOIN sample s USING (run, task, doc_id) WHERE v.task = ? AND m.metric = ? AND extraction = ?"
                      " AND v.metric = coalesce(m.source, m.metric) AND (m.stratum IS NULL OR m.stratum = s.stratum)",
                      task, metric, extraction)[0][0]
        withheld = scored / replies < 0.95
        check(near(scores[key], None if withheld else mean(known)), "%s %s" % (task, key))
        m = mean(known)
        spread = None if withheld or len(known) < 2 else math.sqrt(
            sum((v - m) ** 2 for v in known) / (len(known) - 1) / len(known))
        check(scores[error] == "N/A" if spread is None else near(scores[error], spread) or abs(scores[error] - spread) < 1e-7,
              "%s %s" % (task, error))
        check(isinstance(scores[key], float) or withheld, "%s %s is a float" % (task, key))
        check(results["assay"]["scores"][task][key]["state"] == ("withheld" if withheld else "known"), task + " state")
        check(guarded == ("%s_enforce,%s" % (metric, extraction) in scores), "%s: the guard's column" % task)
    check(len([k for k in scores if "," in k and "_stderr," not in k]) == n * (2 if guarded else 1),
          task + ": no score too many")
    check(all("metric" in m and m["aggregation"] == "mean" for m in results["configs"][task]["metric_list"]), task)
    return n


def read_lm_eval(path, folder):
    store = sqlite3.connect(path)
    folders = os.listdir(folder)
    check(len(folders) == 1, "one folder for the model")
    folder = os.path.join(folder, folders[0])
    check(not glob.glob(os.path.join(glob.escape(folder), "*.part")), "no file half written")
    files = glob.glob(os.path.join(glob.escape(folder), "results_*.json"))
    check(len(files) == 1, "one file of results")
    with open(files[0], encoding="utf-8") as f:
        text = f.read()
    results = json.loads(text)
    check(text == json.dumps(results, indent=2, ensure_ascii=False) + "\n", "laid out as Python does")
    check(all(key in results for key in TOP), "a member of the results is missing")
    tasks = [t for t, in rows(store, "SELECT task FROM task_run ORDER BY position, task")]
    groups = [g for g, in rows(store, "SELECT group_name FROM task_group")]
    check(sorted(results["configs"]) == sorted(tasks), "the tasks")
    check(sorted(results["results"]) == sorted(tasks + groups), "tasks and groups")
    check(sorted(results.get("groups", {})) == sorted(groups) == sorted(results["group_subtasks"]), "the groups")
    n_lines = n_scores = 0
    for task in tasks:
        n_lines += read_samples(store, folder, task, results)
        n_scores += read_scores(store, task, results, folder)
    for group in groups:
        below, leaves = list(results["group_subtasks"][group]), []
        while below:
            name = below.pop()
            below += results["group_subtasks"].get(name, [])
            leaves += [name] if name in tasks else []
        parts = [results["results"][t] for t in leaves]
        weight = sum(p["sample_len"] for p in parts)
        for key in [k for k in results["groups"][group] if "," in k and "_stderr," not in k]:
            values = [p[key] for p in parts]
            whole = None if None in values else sum(p[key] * p["sample_len"] for p in parts) / weight
            check(near(results["groups"][group][key], whole), "group %s %s" % (group, key))
    print("%d documents, %d scores, %d groups, %d rows" % (n_lines, n_scores, len(groups), len(documents)))


def one_answer(store, task, doc, repeat):
    reply = rows(store, "SELECT text FROM reply WHERE task = ? AND doc_id = ? AND repeat = ?", task, doc, repeat)
    if reply:
        return reply[0][0]
    return rows(store, "SELECT text FROM choice_logprob WHERE task = ? AND doc_id = ? ORDER BY logprob DESC, choice"
                " LIMIT 1", task, doc)[0][0]


def one_value(store, task, doc, repeat):
    return rows(store, "SELECT v.value, m.higher_is_better FROM verdict v JOIN task_metric m"
                " USING (run, task, metric, extraction) WHERE v.task = ? AND v.doc_id = ? AND v.repeat = ?"
                " ORDER BY m.position LIMIT 1", task, doc, repeat)[0]


def read_llm_comparator(path_a, path_b, file):
    a, b = sqlite3.connect(path_a), sqlite3.connect(path_b)
    with open(file, encoding="utf-8") as f:
        whole = json.load(f)
    check(isinstance(whole["metadata"]["source_path"], str) and len(whole["models"]) == 2, "the head")
    types = {f["name"]: f["type"] for f in whole["metadata"]["custom_fields_schema"]}
    known = {"number", "string", "category", "text", "per_model_number", "per_model_category", "per_model_text"}
    check(set(types.values()) <= known, "types of fields")
    seen = set()
    for x in whole["examples"]:
        fields, task = x["custom_fields"], x["tags"][0]
        doc, repeat = int(fields["doc_id"]), fields["repeat"]
        where = "%s, document %d, reply %d" % (task, doc, repeat)
        check((task, doc, repeat) not in seen, where + " is there twice")
        seen.add((task, doc, repeat))
        check(fields.keys() == types.keys(), where + ": its fields")
        for name, value in fields.items():
            pair = types[name].startswith("per_model")
            check(isinstance(value, list) and len(value) == 2 if pair else not isinstance(value, list), where + " " + name)
        check(isinstance(x["input_text"], str) and x["individual_rater_scores"] == [], where)
        check(same_text(x["output_text_a"], one_answer(a, task, doc, repeat)), where + ": what A said")
        check(same_text(x["output_text_b"], one_answer(b, task, doc, repeat)), where + ": what B said")
        (va, higher), (vb, _) = one_value(a, task, doc, repeat), one_value(b, task, doc, repeat)
        score = None if va is None or vb is None else max(-1.5, min(1.5, (va - vb) * (1 if higher else -1)))
        check(near(x["score"], score) and fields["value"] == [va, vb], where + ": the score")
    wanted = set(rows(a, "SELECT task, doc_id, repeat FROM reply UNION SELECT task, doc_id, 0 FROM choice_logprob"))
    wanted &= set(rows(b, "SELECT task, doc_id, repeat FROM reply UNION SELECT task, doc_id, 0 FROM choice_logprob"))
    check(seen == wanted, "every reply that both have")
    print("%d examples" % len(seen))


if sys.argv[1] == "lm-eval":
    read_lm_eval(*sys.argv[2:])
else:
    read_llm_comparator(*sys.argv[2:])
