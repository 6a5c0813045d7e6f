/* The sandbox: what each kind of program comes to, and that hostile ones harm nothing. */
#define _GNU_SOURCE
#include "tests/unit/suite.h"

#include <dirent.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "benchmarks/sandbox.h"
#include "engine/base/clock.h"

#define HOSTILE  "tests/fixtures/hostile"
#define MAX_JOBS 96
#define CANARY   "/var/tmp/assay_canary"

static const char add_tests[] = "def check(candidate):\n"
                                "    assert candidate(2, 3) == 5\n"
                                "    assert candidate(4, 5) == 9\n";

/* NULL, after saying so, on a machine that cannot isolate. */
static struct sandbox *open_or_skip(const struct sandbox_options *options)
{
    struct status st = {0};
    struct sandbox *sandbox = NULL;
    if (sandbox_open(&sandbox, options, &st) == STATUS_OK) return sandbox;
    fprintf(stderr, "  skipped: %s\n", st.message);
    CU_ASSERT_EQUAL(st.code, STATUS_UNSUPPORTED);
    return NULL;
}

/* Orphans of this process become its children, so that none can hide. */
static void adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Whether every process that was started here, at whatever depth, is gone within two seconds. */
static bool nobody_left(void)
{
    double until = clock_seconds() + 2;
    do {
        pid_t ended = waitpid(-1, NULL, WNOHANG);
        if (ended < 0 && errno == ECHILD) return true;
        if (ended == 0) usleep(10000);
    } while (clock_seconds() < until);
    return false;
}

static struct sandbox_job add_job(struct text program)
{
    return (struct sandbox_job){.program = program,
                                .prelude = text_of(""),
                                .tests = text_of(add_tests),
                                .entry_point = text_of("f")};
}

/* ---- outcomes ---- */

static const struct {
    const char *program;
    enum sandbox_outcome outcome;
    const char *detail;
} programs[] = {
    {"def f(a, b):\n    return a + b\n", SANDBOX_PASSED, ""},
    {"f = lambda a, b: float(a + b)\n", SANDBOX_PASSED, ""},
    {"def f(a, b):\n    print(a, b)\n    return a + b\n", SANDBOX_PASSED, ""},
    {"def f(a, b):\n    return a - b\n", SANDBOX_WRONG, "AssertionError"},
    {"def f(a, b):\n    return a / 0\n", SANDBOX_FAILED, "ZeroDivisionError: division by zero"},
    {"def f(a, b):\n    assert False, 'mine'\n", SANDBOX_FAILED, "AssertionError: mine"},
    {"def g(a, b):\n    return a + b\n", SANDBOX_FAILED,
     "NameError: the program does not define f"},
    {"raise KeyError('f')\n", SANDBOX_FAILED, "KeyError: 'f'"},
    {"def f(a, b)\n", SANDBOX_SYNTAX, "SyntaxError: expected ':'"},
    {"def f(a, b):\n    return '\xff'\n", SANDBOX_WRONG, "AssertionError"},
    {"", SANDBOX_FAILED, "NameError"},
    {"def f(a, b):\r\n\treturn a + b\r\n", SANDBOX_PASSED, ""},
    {"def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    exit(1)\n", SANDBOX_PASSED,
     ""},
    {"def f(a, b):\n    return a + b\n```\n", SANDBOX_SYNTAX, "SyntaxError"},
    {"def f(a, b):\n    return a + b\nx = input()\n", SANDBOX_FAILED, "OSError"},
    {"def g(n):\n    return n and 1 + g(n - 1)\ndef f(a, b):\n    return a + b + g(900) - 900\n",
     SANDBOX_PASSED, ""},
    {"def f(a, b):\n    print('\u00e9' * 5000000)\n    return a + b\n", SANDBOX_PASSED, ""},
    {"def f(a, b):\n    return input()\n", SANDBOX_FAILED, "OSError"},
    {"import subprocess\ndef f(a, b):\n    return subprocess.run('ls')\n", SANDBOX_FAILED, "Error"},
    {"def f(a, b):\n    raise SystemExit(0)\n", SANDBOX_FAILED, "SystemExit: 0"},
};
#define N_PROGRAMS (sizeof programs / sizeof programs[0])

static void test_outcomes(void)
{
    struct status st = {0};
    struct sandbox *sandbox = open_or_skip(&(struct sandbox_options){0});
    if (!sandbox) return;
    struct sandbox_job jobs[N_PROGRAMS];
    struct sandbox_result results[N_PROGRAMS];
    for (size_t i = 0; i < N_PROGRAMS; i++) jobs[i] = add_job(text_of(programs[i].program));
    ASSERT_OK(sandbox_run(sandbox, jobs, N_PROGRAMS, results, &st));
    for (size_t i = 0; i < N_PROGRAMS; i++) {
        bool same = results[i].outcome == programs[i].outcome &&
                    strstr(results[i].detail, programs[i].detail) != NULL;
        CU_ASSERT_TRUE(same);
        if (!same)
            fprintf(stderr, "%s-> %s: %s\n", programs[i].program,
                    sandbox_outcome_name(results[i].outcome), results[i].detail);
        if (i == 2) CU_ASSERT_STRING_EQUAL(results[i].output.data, "2 3\n4 5\n");
        sandbox_result_release(&results[i]);
    }
    const struct sandbox_info *info = sandbox_get_info(sandbox);
    CU_ASSERT_EQUAL(strncmp(info->interpreter, "/usr/", 5), 0);
    CU_ASSERT_EQUAL(strncmp(info->version, "3.", 2), 0);
    CU_ASSERT_EQUAL(strlen(info->interpreter_sha256), 64);
    sandbox_free(sandbox);
}

/* Every kind of value that tests compare survives the way there and back. */
static void test_values(void)
{
    static const char tests[] =
        "import math\n"
        "from fractions import Fraction\n"
        "from decimal import Decimal\n"
        "def check(candidate):\n"
        "    values = [None, True, False, 0, -7, 1 << 200, -(1 << 64), 0.1, -0.0, 1e308,\n"
        "              float('inf'), 2 + 3j, '', 'caf\\u00e9 \\U0001f600 \\ud800', b'\\x00\\xff',\n"
        "              bytearray(b'ab'), [], [1, [2, [3]]], (), (1,), (1, (2, 'x')), {}, {1: 'a',\n"
        "              (2, 3): [4]}, set(), {1, 2}, frozenset({3}), range(3, 9, 2),\n"
        "              Fraction(1, 3), Decimal('1.50'), {'k': {'n': None}}]\n"
        "    for value in values:\n"
        "        back = candidate(value)\n"
        "        assert back == value and type(back) is type(value), repr(value)\n"
        "        assert repr(back) == repr(value), repr(value)\n"
        "    assert math.isnan(candidate(float('nan')))\n"
        "    assert candidate(True) is True and candidate(None) is None\n"
        "    assert list(candidate(iter([1, 2]))) == [1, 2]\n"
        "    assert candidate(x=[1]) == [1]\n";
    /* Values of classes of their own count as what they are made of, or as nothing. */
    static const char strange[] =
        "from collections import Counter, OrderedDict, defaultdict, deque, namedtuple\n"
        "Point = namedtuple('Point', 'x y')\n"
        "class Text(str):\n"
        "    def __eq__(self, other): return True\n"
        "    __hash__ = str.__hash__\n"
        "VALUES = [Counter('aab'), OrderedDict(a=1), defaultdict(list, {1: [2]}), Point(1, 2),\n"
        "          Text('no'), map(abs, [-1, 2]), {'a': 1}.keys(), object(), print, type,\n"
        "          deque([3, 4])]\n"
        "def f(i):\n"
        "    return VALUES[i]\n";
    static const char strange_tests[] =
        "def check(candidate):\n"
        "    assert candidate(0) == {'a': 2, 'b': 1}\n"
        "    assert candidate(1) == {'a': 1}\n"
        "    assert candidate(2) == {1: [2]}\n"
        "    assert candidate(3) == (1, 2)\n"
        "    assert candidate(4) == 'no'\n"
        "    assert candidate(4) != 'yes'\n"
        "    assert list(candidate(5)) == [1, 2]\n"
        "    assert list(candidate(6)) == ['a'] and candidate(6) == {'a'}\n"
        "    assert tuple(candidate(10)) == (3, 4) and len(candidate(10)) == 2\n"
        "    assert candidate(10) != [3, 4] and candidate(10)[1] == 4\n"
        "    for i in (7, 8, 9):\n"
        "        assert candidate(i) != candidate(i)\n";
    struct status st = {0};
    struct sandbox *sandbox = open_or_skip(&(struct sandbox_options){0});
    if (!sandbox) return;
    struct sandbox_job jobs[2] = {add_job(text_of("def f(x):\n    return x\n")),
                                  add_job(text_of(strange))};
    struct sandbox_result results[2];
    jobs[0].tests = text_of(tests);
    jobs[1].tests = text_of(strange_tests);
    ASSERT_OK(sandbox_run(sandbox, jobs, 2, results, &st));
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(results[i].outcome, SANDBOX_PASSED);
        if (results[i].outcome != SANDBOX_PASSED) fprintf(stderr, "%s\n", results[i].detail);
        sandbox_result_release(&results[i]);
    }
    sandbox_free(sandbox);
}

/* numpy is there where the system has it, its scalars are numbers, and no other package is. */
static void test_numpy(void)
{
    static const struct {
        const char *program;
        enum sandbox_outcome outcome;
    } cases[] = {
        {"import numpy as np\ndef f(a, b):\n    return np.int64(a) + b\n", SANDBOX_PASSED},
        {"import numpy as np\ndef f(a, b):\n    return np.add(np.float32(a), b)\n", SANDBOX_PASSED},
        {"import numpy as np\ndef f(a, b):\n    return np.array([a, b])\n", SANDBOX_WRONG},
        {"import numpy.linalg\nimport pip\ndef f(a, b):\n    return a + b\n", SANDBOX_FAILED},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    struct status st = {0};
    struct sandbox *sandbox = open_or_skip(&(struct sandbox_options){0});
    if (!sandbox) return;
    bool there = strstr(sandbox_get_info(sandbox)->version, ", numpy ") != NULL;
    struct sandbox_job jobs[N];
    struct sandbox_result results[N];
    for (size_t i = 0; i < N; i++) jobs[i] = add_job(text_of(cases[i].program));
    ASSERT_OK(sandbox_run(sandbox, jobs, N, results, &st));
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(results[i].outcome, there ? cases[i].outcome : SANDBOX_FAILED);
        if (!there) CU_ASSERT_PTR_NOT_NULL(strstr(results[i].detail, "No module named 'numpy"));
        sandbox_result_release(&results[i]);
    }
    sandbox_free(sandbox);
}

/* The tests see the prelude's helpers, not the program's; broken tests are nobody's wrong answer.
 */
static void test_trusted_parts(void)
{
    struct status st = {0};
    struct sandbox *sandbox = open_or_skip(&(struct sandbox_options){0});
    if (!sandbox) return;
    struct sandbox_job job =
        add_job(text_of("def helper(x):\n    return 0\ndef f(x):\n    return 0\n"));
    struct sandbox_result result;
    job.prelude = text_of("def helper(x):\n    return x * 2\ndef f(x):\n    return helper(x)\n");
    job.tests = text_of("def check(candidate):\n    assert candidate(4) == helper(4)\n");
    ASSERT_OK(sandbox_run(sandbox, &job, 1, &result, &st));
    CU_ASSERT_EQUAL(result.outcome, SANDBOX_WRONG);
    sandbox_result_release(&result);
    /* The function is also known by its own name (HumanEval/33). */
    job.tests = text_of("def check(candidate):\n    assert candidate(4) == f(4) == 0\n");
    ASSERT_OK(sandbox_run(sandbox, &job, 1, &result, &st));
    CU_ASSERT_EQUAL(result.outcome, SANDBOX_PASSED);
    sandbox_result_release(&result);
    job.tests = text_of("def check(candidate)\n");
    ASSERT_FAILS(sandbox_run(sandbox, &job, 1, &result, &st), STATUS_BAD_INPUT,
                 "the tests do not run: SyntaxError");
    sandbox_free(sandbox);
}

/* ---- hostile programs ---- */

static struct text read_program(const char *name, struct strbuf *out)
{
    char path[512];
    struct status st = {0};
    snprintf(path, sizeof path, HOSTILE "/%.63s", name);
    strbuf_init(out, 1 << 20);
    ASSERT_OK(strbuf_read_file(out, path, &st));
    return (struct text){out->data, out->length};
}

/* The first line says which outcomes are right: "# expect: failed timeout".  On a machine that is
 * busy enough any of them may run out of wall time first. */
static bool is_expected(struct text program, const struct sandbox_result *result)
{
    if (!strcmp(result->detail, "wall time")) return true;
    const char *name = sandbox_outcome_name(result->outcome);
    const char *end = memchr(program.data, '\n', program.length);
    const char *found = end ? strstr(program.data, name) : NULL;
    return found && found < end;
}

static void check_hostile(const struct sandbox *sandbox, char names[][64], size_t n)
{
    struct status st = {0};
    struct sandbox_job jobs[MAX_JOBS];
    struct sandbox_result results[MAX_JOBS];
    struct strbuf bytes[MAX_JOBS];
    for (size_t i = 0; i < n; i++) jobs[i] = add_job(read_program(names[i], &bytes[i]));
    ASSERT_OK(sandbox_run(sandbox, jobs, n, results, &st));
    for (size_t i = 0; i < n; i++) {
        bool right =
            results[i].outcome != SANDBOX_PASSED && is_expected(jobs[i].program, &results[i]);
        CU_ASSERT_TRUE(right);
        if (!right)
            fprintf(stderr, "%s: %s: %s\n%s\n", names[i], sandbox_outcome_name(results[i].outcome),
                    results[i].detail, results[i].output.data);
        CU_ASSERT_TRUE(results[i].output.length <= 16384);
        sandbox_result_release(&results[i]);
        strbuf_release(&bytes[i]);
    }
}

static void test_hostile(void)
{
    static const char *const must_not_exist[] = {
        "/usr/assay_hostile", "/etc/assay_hostile", "/var/tmp/assay_hostile",
        "/assay_hostile",     "/dev/assay_hostile", "/tmp/assay_hostile",
    };
    char names[MAX_JOBS][64];
    size_t n = 0;
    const struct sandbox_options options = {.cpu_seconds = 1,
                                            .wall_seconds = 2.5,
                                            .memory_bytes = 256u << 20,
                                            .output_bytes = 1u << 20};
    adopt_orphans();
    struct sandbox *sandbox = open_or_skip(&options);
    if (!sandbox) return;
    DIR *folder = opendir(HOSTILE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL && n < MAX_JOBS)
        if (strstr(entry->d_name, ".py")) snprintf(names[n++], 64, "%.63s", entry->d_name);
    closedir(folder);
    CU_ASSERT_TRUE(n >= 64);
    FILE *canary = fopen(CANARY, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(canary);
    fclose(canary);
    check_hostile(sandbox, names, n);
    CU_ASSERT_TRUE(nobody_left());
    CU_ASSERT_EQUAL(remove(CANARY), 0);
    for (size_t i = 0; i < sizeof must_not_exist / sizeof must_not_exist[0]; i++)
        CU_ASSERT_NOT_EQUAL(access(must_not_exist[i], F_OK), 0);
    sandbox_free(sandbox);
}

/* Several at a time finish in the time of the longest, in their own places. */
static void test_parallel(void)
{
    enum { N = 24 };
    struct status st = {0};
    struct sandbox *sandbox =
        open_or_skip(&(struct sandbox_options){.workers = 12, .wall_seconds = 20});
    if (!sandbox) return;
    struct sandbox_job jobs[N];
    struct sandbox_result results[N];
    for (size_t i = 0; i < N; i++)
        jobs[i] = add_job(text_of(i % 2 ? "import time\ntime.sleep(1.5)\nf = lambda a, b: a + b\n"
                                        : "import time\ntime.sleep(1.5)\nf = lambda a, b: 0\n"));
    double start = clock_seconds();
    ASSERT_OK(sandbox_run(sandbox, jobs, N, results, &st));
    CU_ASSERT_TRUE(clock_seconds() - start < 1.5 * N);
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(results[i].outcome, i % 2 ? SANDBOX_PASSED : SANDBOX_WRONG);
        sandbox_result_release(&results[i]);
    }
    sandbox_free(sandbox);
}

/* Stopped for longer than a candidate may take, the program does not take it for the candidate's
 * fault. */
static void test_stopped(void)
{
    struct sandbox *sandbox = open_or_skip(&(struct sandbox_options){.wall_seconds = 2.5});
    if (!sandbox) return;
    pid_t child = fork();
    if (child == 0) {
        struct status st = {0};
        struct sandbox_result result = {0};
        struct sandbox_job job =
            add_job(text_of("import time\ntime.sleep(3.4)\nf = lambda a, b: a + b\n"));
        bool good = sandbox_run(sandbox, &job, 1, &result, &st) == STATUS_OK;
        _exit(good && result.outcome == SANDBOX_PASSED ? 7 : 1);
    }
    int status = 0;
    usleep(500000);
    kill(child, SIGSTOP);
    usleep(2600000);
    kill(child, SIGCONT);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    sandbox_free(sandbox);
}

static void test_refuses(void)
{
    struct status st = {0};
    struct sandbox *sandbox = NULL;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    ASSERT_FAILS(sandbox_open(&sandbox, &(struct sandbox_options){0}, &st), STATUS_UNSUPPORTED,
                 "bwrap is not installed: apt-get install bubblewrap");
    setenv("PATH", path, 1);
    free(path);
}

static const struct test_case tests[] = {
    {"each kind of program has its outcome", test_outcomes},
    {"values are rebuilt from builtin types", test_values},
    {"numpy, and no other package", test_numpy},
    {"tests and helpers are the trusted ones", test_trusted_parts},
    {"hostile programs never pass and harm nothing", test_hostile},
    {"candidates run side by side", test_parallel},
    {"a program that was stopped", test_stopped},
    {"no sandbox, no run", test_refuses},
};
SUITE("sandbox", tests)
