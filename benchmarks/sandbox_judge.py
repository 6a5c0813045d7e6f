# The judge's process: runs the tests against a stand-in that asks the candidate's process for each
# value.  It never runs a line of the candidate's program, and alone holds descriptor 6, on which
# the verdict is written.
import builtins


class Ended(BaseException):
    """The candidate's process is gone, or what it says is not in the language of values."""


class Candidate:
    """Callable as the candidate's function is; remembers what it raised."""

    def __init__(self, channel):
        self.channel = channel
        self.raised = None
        self.ended = None

    def end(self, how):
        self.ended = how
        raise Ended(how)

    def ask(self):
        try:
            return self.channel.receive()
        except (EOFError, OSError):
            self.end("ended")
        except (ValueError, RecursionError):
            self.end("garbled")

    def __call__(self, *args, **keywords):
        try:
            self.channel.send({"args": encode(args), "keywords": encode(keywords)})
        except OSError:
            self.end("ended")
        reply = self.ask()
        try:
            if "value" in reply:
                return decode(reply["value"])
            name, text = reply["raised"]
            text = str(text)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, AttributeError):
            self.end("garbled")
        kind = getattr(builtins, name, None) if isinstance(name, str) else None
        try:
            self.raised = kind(text) if issubclass(kind, Exception) else None
        except TypeError:
            self.raised = None
        if self.raised is None:
            self.raised = RuntimeError("%s: %s" % (name, text))
        raise self.raised


def describe(error):
    text = "%s: %s" % (type(error).__name__, error)
    return text.rstrip(": \n")[:500]


def load_tests(job, candidate):
    scope = {}
    exec(compile(job["prelude"], "<prelude>", "exec"), scope)
    scope[job["entry_point"]] = candidate
    if "random" in job["tests"]:
        import random
        random.seed(0)
    exec(compile(job["tests"], "<tests>", "exec"), scope)
    return scope["check"]


def run_tests(check, candidate):
    try:
        check(candidate)
        return candidate.ended or "passed", ""
    except Ended as error:
        return str(error), ""
    except MemoryError:
        return "memory", ""
    except BaseException as error:
        if error is candidate.raised:
            return "raised", describe(error)
        return ("wrong" if isinstance(error, AssertionError) else "error"), describe(error)


def judge(job):
    candidate = Candidate(Channel())
    try:
        check = load_tests(job, candidate)
    except BaseException as error:
        return "bad_tests", describe(error)
    try:
        if candidate.ask() != {"hello": True}:
            return "not_started", ""
    except Ended:
        return "not_started", ""
    try:
        report = candidate.ask()
    except Ended as error:
        return str(error), ""
    if report == {"ready": True}:
        return run_tests(check, candidate)
    for verdict in ("syntax", "raised"):
        if isinstance(report, dict) and verdict in report:
            return verdict, ": ".join(str(part) for part in report[verdict][:2])[:500]
    return "garbled", ""


def main():
    with open(0, "rb", closefd=False) as file:
        job = json.loads(file.read())
    verdict, detail = judge(job)
    os.write(6, json.dumps({"verdict": verdict, "detail": detail}).encode("ascii"))


main()
