"""Makes the synthetic text that assay's demo model learns from.

    word_problem(rng)    -> a document {"question", "answer"} in GSM8K's form
    quiz_item(rng, subj) -> a row (question, A, B, C, D, letter) in MMLU's form
    gsm8k_text, mmlu_text, mmlu_header: the same documents as prompt text

The prompt text is byte for byte what the few-shot protocols show a model.
Nothing here reads a test split.
"""

import re

from quiz_facts import RELATIONS
from word_problems import BOXES, BOYS, FAMILIES, GIRLS, PLACES, THINGS

LETTERS = "ABCD"
SUBJECTS = ["elementary_mathematics"] + sorted(RELATIONS)


# --- prompt text -----------------------------------------------------------------

def gsm8k_text(doc):
    return f"Question: {doc['question']}\nAnswer: {doc['answer']}"


def mmlu_header(subject):
    return ("The following are multiple choice questions (with answers) about "
            f"{subject.replace('_', ' ')}.\n\n")


def mmlu_text(row):
    question, options, letter = row[0], row[1:5], row[5]
    lines = [question.strip()] + [f"{l}. {o}" for l, o in zip(LETTERS, options)]
    return "\n".join(lines) + f"\nAnswer: {letter}"


# --- word problems ---------------------------------------------------------------

CALCULATION = re.compile(r"\[(\$?)(\w)=([^\]]+)\]")


def _value(expression, variables):
    """The whole number that an expression of our own templates gives, or None."""
    exact = eval(expression.replace("/", "//"), {"__builtins__": {}}, variables)
    return exact if exact == eval(expression, {"__builtins__": {}}, variables) else None


def _draw(rng, spec):
    variables = {}
    for item in spec.split():
        name, rule = item.split("=")
        if ".." in rule:
            low, high = map(int, rule.split(".."))
            variables[name] = rng.randint(low, high)
        else:
            variables[name] = _value(rule, variables)
    return variables


def _words(rng):
    boy = rng.random() < 0.5
    name = rng.choice(BOYS if boy else GIRLS)
    other = rng.choice([n for n in BOYS + GIRLS if n != name])
    x, y = rng.sample(THINGS, 2)
    return {"n": name, "m": other, "x": x, "y": y, "box": rng.choice(BOXES), "place": rng.choice(PLACES),
            "p": "he" if boy else "she", "P": "He" if boy else "She",
            "o": "his" if boy else "her", "O": "His" if boy else "Her"}


def _work_out(steps, variables):
    """Replaces each calculation by its GSM8K form; (lines, answer) or None if one is not a natural number."""
    last = None

    def calculate(match):
        nonlocal last
        dollar, target, expression = match.groups()
        shown = re.sub(r"[a-z]", lambda v: str(variables[v.group()]), expression)
        last = variables[target] = _value(expression, variables)
        return f"{shown}={dollar}<<{shown}={last}>>{last}"

    lines = [CALCULATION.sub(calculate, step) for step in steps]
    return (lines, last) if last is not None and last >= 0 else None


def word_problem(rng):
    draws, needs, questions, steps = rng.choice(FAMILIES)
    while True:
        variables = _draw(rng, draws)
        if not needs or eval(needs, {"__builtins__": {}}, variables):
            break
    fields = {**variables, **_words(rng)}
    lines, answer = _work_out(steps, variables)
    question = rng.choice(questions).format(**fields)
    rationale = "\n".join(line.format(**fields) for line in lines)
    return {"question": question[0].upper() + question[1:], "answer": f"{rationale}\n#### {answer}"}


def calculation(rng):
    """(expression, value) such as ("24+13", 37), over the numbers that the word problems use."""
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    big, small = rng.randint(2, 99), rng.randint(2, 60)
    return rng.choice([(f"{big}+{small}", big + small), (f"{big + small}-{small}", big), (f"{a}*{b}", a * b),
                       (f"{a * b}/{b}", a), (f"{big}*{b % 9 + 1}", big * (b % 9 + 1)), (f"{2 * big}/2", big)])


# --- multiple choice -------------------------------------------------------------

COPY_QUESTIONS = ["Which option says {v}?", "Which of the options is {v}?", "Choose: {v}"]


def _arithmetic(rng):
    """(question, right answer, wrong answers) about small whole numbers."""
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    kind = rng.randrange(6)
    if kind == 0:
        a, b = rng.randint(2, 60), rng.randint(2, 39)
        wordings, right = ["What is {a} + {b}?", "What is the sum of {a} and {b}?", "{a} plus {b} equals"], a + b
    elif kind == 1:
        a += b + rng.randint(0, 40)
        wordings, right = ["What is {a} - {b}?", "What is {a} minus {b}?", "{a} take away {b} leaves"], a - b
    elif kind == 2:
        wordings = ["What is {a} * {b}?", "What is {a} times {b}?", "What is the product of {a} and {b}?"]
        right = a * b
    elif kind == 3:
        a, right = a * b, a
        wordings = ["What is {a} / {b}?", "What is {a} divided by {b}?"]
    elif kind == 4:
        a, right = 2 * a, a
        wordings = ["What is half of {a}?"]
    else:
        wordings, right = ["What is twice {a}?", "What is {a} doubled?"], 2 * a
    near = [right + d for d in (-12, -10, -5, -3, -2, -1, 1, 2, 3, 4, 5, 10, 12, 20) if right + d >= 0]
    return rng.choice(wordings).format(a=a, b=b), str(right), [str(v) for v in rng.sample(near, 3)]


def _largest(rng):
    numbers = rng.sample(range(2, 100), 4)
    word, pick = rng.choice([("largest", max), ("smallest", min)])
    right = pick(numbers)
    return f"Which of these numbers is the {word}?", str(right), [str(v) for v in numbers if v != right]


def _fact(rng, subject):
    forward, backward, pairs = rng.choice(RELATIONS[subject])
    key, value = rng.choice(pairs)
    if rng.random() < 0.5:
        wrong = sorted({v for _, v in pairs if v != value})
        question, right = rng.choice(forward), value
    else:
        wrong = sorted({k for k, v in pairs if v != value and (k, value) not in pairs})
        question, right = rng.choice(backward), key
    question = question.format(k=key, v=value, K=key[0].upper() + key[1:])
    return question, right, rng.sample(wrong, 3)


def _copy(rng, subject):
    """A question that names its own answer: it teaches how a letter stands for an option."""
    values = sorted({v for _, _, pairs in RELATIONS.get(subject, []) for pair in pairs for v in pair})
    values = [str(n) for n in range(2, 150)] if not values else THINGS if rng.random() < 0.5 else values
    options = rng.sample(values, 4)
    return rng.choice(COPY_QUESTIONS).format(v=options[0]), options[0], options[1:]


def quiz_item(rng, subject, copy_share=0.1):
    if rng.random() < copy_share:
        question, right, wrong = _copy(rng, subject)
    elif subject == "elementary_mathematics":
        question, right, wrong = _largest(rng) if rng.random() < 0.1 else _arithmetic(rng)
    else:
        question, right, wrong = _fact(rng, subject)
    options = [right] + wrong
    rng.shuffle(options)
    return [question, *options, LETTERS[options.index(right)]]


def letter_drill(rng):
    """(options as text, [(option, letter)]): which letter stands before which option?"""
    options = rng.sample(rng.choice([THINGS, BOYS + GIRLS]), 4)
    looked_up = [rng.choice(list(zip(options, LETTERS))) for _ in range(6)]
    return "\n".join(f"{l}. {o}" for l, o in zip(LETTERS, options)), looked_up
