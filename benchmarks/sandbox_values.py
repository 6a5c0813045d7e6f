# How values travel between the candidate's process and the judge's: JSON, each value rebuilt from
# builtin types.  Nothing of the candidate's classes survives the journey, so an equality operator
# of its own is never asked.  What cannot be rebuilt arrives as an Opaque, which equals nothing else,
# or, where it has items, as a Collection of them, which equals nothing else either.
import json
import os

MAX_DEPTH = 200
MAX_ITERATED = 100000
MAX_LINE = 32 << 20


class Opaque:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "<an object of type %s>" % self.name


class Collection(Opaque):
    def __init__(self, name, items):
        Opaque.__init__(self, name)
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def encode_items(value, depth):
    """An iterator, or something else that has items."""
    items = []
    for item in value:
        if len(items) == MAX_ITERATED:
            return {"o": type(value).__name__}
        items.append(encode(item, depth))
    return {"I": items} if hasattr(type(value), "__next__") else {"C": [type(value).__name__, items]}


def encode_number(value, base):
    if base is int:
        value = int.__pos__(value)
        return value if abs(value) < 1 << 53 else {"i": hex(value)}
    if base is float:
        return float.__pos__(value)
    return {"c": [value.real, value.imag]}


def encode(value, depth=MAX_DEPTH):
    kind = type(value)
    if value is None or kind is bool:
        return value
    if depth == 0:
        return {"o": kind.__name__}
    for base in (int, float, complex):
        if issubclass(kind, base):
            return encode_number(value, base)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, (bytes, bytearray)):
        return {"B" if issubclass(kind, bytearray) else "b": bytes(value).hex()}
    for base, tag in ((list, "l"), (tuple, "t"), (set, "S"), (frozenset, "F")):
        if issubclass(kind, base):
            return {tag: [encode(item, depth - 1) for item in base.__iter__(value)]}
    if issubclass(kind, dict):
        return {"d": [[encode(k, depth - 1), encode(v, depth - 1)] for k, v in dict.items(value)]}
    if kind is type({}.keys()):
        return {"K": [encode(item, depth - 1) for item in value]}
    if kind is range:
        return {"r": [value.start, value.stop, value.step]}
    if kind.__module__ == "fractions" and kind.__name__ == "Fraction":
        return {"q": [encode(value.numerator, 1), encode(value.denominator, 1)]}
    if kind.__module__ == "decimal" and kind.__name__ == "Decimal":
        return {"D": str(value)}
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == () and depth > 1:
        return encode(value.item(), 1)
    if hasattr(kind, "__iter__"):
        return encode_items(value, depth - 1)
    return {"o": kind.__name__}


def decode_fraction(pair):
    from fractions import Fraction
    return Fraction(decode(pair[0]), decode(pair[1]))


def decode_decimal(text):
    from decimal import Decimal
    return Decimal(text)


def decode_items(items):
    return [decode(item) for item in items]


DECODERS = {
    "i": lambda x: int(x, 16),
    "c": lambda x: complex(*x),
    "b": bytes.fromhex,
    "B": bytearray.fromhex,
    "l": decode_items,
    "t": lambda x: tuple(decode_items(x)),
    "S": lambda x: set(decode_items(x)),
    "F": lambda x: frozenset(decode_items(x)),
    "d": lambda x: {decode(k): decode(v) for k, v in x},
    "K": lambda x: dict.fromkeys(decode_items(x)).keys(),
    "r": lambda x: range(*x),
    "q": decode_fraction,
    "D": decode_decimal,
    "C": lambda x: Collection(x[0], decode_items(x[1])),
    "I": lambda x: iter(decode_items(x)),
    "o": Opaque,
}


def decode(value):
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a bare list")
        return value
    (tag, content), = value.items()
    return DECODERS[tag](content)


class Channel:
    """Lines of JSON over descriptor 4."""

    def __init__(self):
        self.reader = os.fdopen(os.dup(4), "rb")

    def send(self, message):
        line = (json.dumps(message) + "\n").encode("ascii")
        while line:
            line = line[os.write(4, line):]

    def receive(self):
        line = self.reader.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)
