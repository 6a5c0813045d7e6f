# Tried once when the sandbox is opened: says what Python this is, and what should not be possible
# here and is.
import json
import os
import sys


def can_write(path):
    try:
        with open(path, "w"):
            return True
    except OSError:
        return False


def can_fork():
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def problems():
    """The first that holds; nothing is written before the folders are known to be private."""
    for path in ("/etc/passwd", "/proc", "/home", "/root"):
        if os.path.exists(path):
            yield "it sees " + path
    if os.getpid() > 9:
        yield "it shares process numbers with the machine"
    if os.getuid() == 0:
        yield "it is root"
    if "HOME" in os.environ:
        yield "it has the environment of this program"
    if not can_write("/tmp/assay"):
        yield "it cannot write in its scratch folder"
    if can_write("/usr/assay") or can_write("/assay"):
        yield "it can write outside its scratch folder"


def numpy_version():
    allow_numpy()
    try:
        import numpy
        return "numpy " + str(numpy.__version__)
    except Exception:
        return "no numpy"


def main():
    problem = next(problems(), None)
    version = sys.version.replace("\n", " ") + ", " + numpy_version()
    found = {"version": version, "problem": problem or "",
             "can_fork": not problem and can_fork()}
    os.write(6, json.dumps(found).encode("ascii"))


main()
