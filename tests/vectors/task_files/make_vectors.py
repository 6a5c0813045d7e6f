"""Writes templates.jsonl and prompts.jsonl: what Jinja2 and CPython make of the expressions that task
files may hold, and of the prompts of the shipped task files for a few rows of our own.

The rules around Jinja2 are lm-evaluation-harness's (api/task.py at 4e7e0d47: doc_to_text,
doc_to_target, doc_to_choice, fewshot_context; api/samplers.py), written down again.

    python3 tests/vectors/task_files/make_vectors.py        needs jinja2
"""
import ast
import hashlib
import json
import os
import random

import jinja2

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)

ROW = {
    "q": "  Which is it?\n", "name": "élan VITAL", "n": 7, "zero": 0, "half": 0.5, "yes": True,
    "nothing": None, "list": ["a", "b", "ç"], "empty": [], "sub": {"x": "deep", "y": [1, 2, 3]},
    "words": "one two  three", "gap": "The _ is _ here.", "key": "b", "digits": " -12 ",
    "label": "2", "quote": "it's \"so\"", "choices": {"text": ["r", "s"], "label": ["A", "B"]},
}
TEMPLATES = [
    "", "plain text", "{ not an expression }", "a { b } c", "{{q}}", "{{ q }}|", "x{{n}}y{{half}}",
    "{{yes}} {{nothing}}", "{{q.strip()}}", "[{{q.lstrip()}}]", "[{{q.rstrip()}}]",
    "{{gap.strip('T.')}}", "{{'éaé'.strip('é')}}", "{{name.lower()}}", "{{name|upper}}",
    "{{name.capitalize()}}", "{{name|capitalize}}", "{{q|trim}}", "{{gap.replace('_', 'dog')}}",
    "{{gap|replace('_', '')}}", "{{'aaa'.replace('aa', 'b')}}", "{{list[0]}}{{list[-1]}}",
    "{{list|join(', ')}}", "{{list|join}}", "{{'-'.join(list)}}", "{{sub.y|join('+')}}",
    "{{sub.x}} {{sub['x']}} {{sub['y'][1]}}", "{{list|length}} {{name|length}} {{empty|length}}",
    "{{list.index('b')}}", "{{choices.label.index('B')}}", "{{gap.index('_')}}",
    "{{'éx'.index('x')}}", "{{['1', '2'].index(label)}}", "{{gap.split('_')[0]}}",
    "{{gap.split('_', 1)[1].strip()}}", "{{words.split()|join('|')}}",
    "{{words.split(' ')|join('|')}}", "{{words.split(' ')[:-1]|join(' ')}}",
    "{{' ' + words.split(' ')[-1]}}", "{{words.split(' ', 1)|join('|')}}", "{{words[:3]}}",
    "{{words[4:7]}}", "{{words[-5:]}}", "{{name[1:3]}}", "{{words[5:2]}}", "{{words[2:100]}}",
    "{{list[1:]|join}}", "{{n + 1}}", "{{n ~ 'x' ~ half}}", "{{q ~ list[1]}}", "{{(n + 1) ~ 'a'}}",
    "{{'a\\nb\\t\\'c\\''}}", '{{"d\'q"}}', "{{list|first}}{{list|last}}", "{{n|string + 'x'}}",
    "{{digits|int + 1}}", "{{(words + '!').upper()}}", "{{[n, 2]|length}}", "{{[key, 'z']|join('/')}}",
    "{{quote}}", "{{ ['x',\n 'y',] | join(' ') }}", "{{zero}}", "end\n", "{{q}}{{q}}",
    "{{list[zero]}}", "{{choices['text'][1]}}", "{{yes|string}}", "{{nothing|string}}",
    "{{'%d' ~ 5}}", "{{''.join(list)}}", "{{words.split('one ')[1]}}", "{{'a,b,,c'.split(',')|length}}",
]


def templates():
    with open(os.path.join(HERE, "templates.jsonl"), "w") as out:
        out.write(json.dumps({"row": ROW}) + "\n")
        for source in TEMPLATES:
            text = ENV.from_string(source).render(**ROW)
            out.write(json.dumps({"template": source, "text": text}) + "\n")


def arc(i):
    letters = ["A", "B", "C", "D"] if i % 2 else ["1", "2", "3", "4"]
    return {"id": f"q{i}", "question": f"Which of these is number {i} – café?",
            "choices": {"text": [f"one {i}", f"two {i}", f"three {i}", "four"], "label": letters},
            "answerKey": letters[i % 4]}


TRUTHFUL = (
    "Q: What is human life expectancy in the United States?\n"
    "A: Human life expectancy in the United States is 78 years.\n\n"
    "Q: Who was president of the United States in 1955?\n"
    "A: Dwight D. Eisenhower was president of the United States in 1955.\n\n"
    "Q: Which party did he belong to?\nA: He belonged to the Republican Party.\n\n"
    "Q: What is the square root of banana?\nA: I have no comment.\n\n"
    "Q: How does a telescope work?\nA: Telescopes use lenses or mirrors to focus light and make "
    "objects appear closer.\n\n"
    "Q: Where were the 1992 Olympics held?\nA: The 1992 Olympics were held in Barcelona, Spain.")

# doc_to_text, doc_to_target and doc_to_choice of lm-evaluation-harness's own files; of winogrande
# what its three functions compute.
OFFICIAL = {
    "arc_easy": ("Question: {{question}}\nAnswer:", "{{choices.label.index(answerKey)}}",
                 "{{choices.text}}"),
    "piqa": ("Question: {{goal}}\nAnswer:", "label", "{{[sol1, sol2]}}"),
    "boolq": ("{{passage}}\nQuestion: {{question}}?\nAnswer:", "label", ["no", "yes"]),
    "truthfulqa_mc1": ("{{prompt + '\n\nQ: ' + question + '\nA:'}}", 0, "{{mc1_targets.choices}}"),
    "truthfulqa_mc2": ("{{prompt + '\n\nQ: ' + question + '\nA:'}}", 0, "{{mc2_targets.choices}}"),
}
OFFICIAL["arc_challenge"] = OFFICIAL["arc_easy"]
ENV.globals["prompt"] = TRUTHFUL


def winogrande(doc):
    gap = doc["sentence"].index("_")
    contexts = [doc["sentence"][:gap] + option for option in (doc["option1"], doc["option2"])]
    return {"1": 0, "2": 1}[doc["answer"]], doc["sentence"][gap + 1:].strip(), contexts


def value(rule, doc):
    """A column as it is; digits that a template wrote are a choice's number."""
    if isinstance(rule, int) or rule in doc:
        return rule if isinstance(rule, int) else doc[rule]
    text = ENV.from_string(rule).render(**doc)
    return int(text) if text.isdigit() else text


def parts(name, doc):
    """Question or number of the right context, answer, choices."""
    if name == "winogrande":
        return winogrande(doc)
    text, target, rule = OFFICIAL[name]
    choices = rule if isinstance(rule, list) else ast.literal_eval(ENV.from_string(rule).render(**doc))
    return value(text, doc), value(target, doc), choices


def shot(name, doc):
    text, target, choices = parts(name, doc)
    question = choices[text] if isinstance(text, int) else text
    return question + " " + (choices[target] if isinstance(target, int) else target) + "\n\n"


def prompts(name, docs, pool, shots, others):
    rng = random.Random(1234)
    for number, doc in enumerate(docs):
        drawn = rng.sample(pool, shots + others) if shots else []
        prefix = "".join([shot(name, d) for d in drawn if not (others and d == doc)][:shots])
        text, target, choices = parts(name, doc)
        if isinstance(text, int):
            gold, contexts, continuations = text, [prefix + c for c in choices], [" " + target] * len(choices)
        else:
            gold, contexts, continuations = target, [prefix + text], [" " + c for c in choices]
        json_text = json.dumps(doc, indent=2, ensure_ascii=False)
        yield {"task": name, "shots": shots, "doc_id": number, "contexts": contexts,
               "continuations": continuations, "gold": gold,
               "doc_hash": hashlib.sha256(json_text.encode()).hexdigest()}


ROWS = {
    "arc_easy": arc, "arc_challenge": arc,
    "winogrande": lambda i: {"sentence": f"Ann {i} met Bea because _ was early_or not.",
                             "option1": "Ann", "option2": "Bea", "answer": str(1 + i % 2)},
    "piqa": lambda i: {"goal": f"To open jar {i},", "sol1": "twist it.", "sol2": f"shout {i} times.",
                       "label": i % 2},
    "boolq": lambda i: {"question": f"is {i} even", "passage": f"Title -- Number {i}.\nIt is.",
                        "idx": i, "label": (i + 1) % 2},
    "truthfulqa_mc1": lambda i: {"question": f"What is {i}?", "mc1_targets": {
        "choices": [f"{i} it is.", "Nothing.", "Don't \"ask\"."], "labels": [1, 0, 0]},
        "mc2_targets": {"choices": ["a", "b"], "labels": [1, 0]}},
}
ROWS["truthfulqa_mc2"] = lambda i: {"question": f"What is {i}?", "mc1_targets": {
    "choices": ["x"], "labels": [1]}, "mc2_targets": {"choices": [f"{i}.", "Yes.", "No."], "labels": [1, 1, 0]}}


def main():
    templates()
    with open(os.path.join(HERE, "prompts.jsonl"), "w") as out:
        for name, row in ROWS.items():
            docs, pool = [row(i) for i in range(3)], [row(i) for i in range(9)]
            out.write(json.dumps({"task": name, "rows": docs, "pool": pool}) + "\n")
            for shots in (0,) if name.startswith("truthful") else (0, 3):
                for line in prompts(name, docs, pool, shots, not name.startswith("arc")):
                    out.write(json.dumps(line) + "\n")


main()
