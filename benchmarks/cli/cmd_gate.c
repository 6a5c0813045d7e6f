/* assay compare, assay gate: two runs against each other, for people and for CI. */
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/run_place.h"
#include "engine/base/limits.h"
#include "reports/report.h"

/* ---- compare ---- */

int cmd_compare(const struct command *self, int argc, const char **argv)
{
    const char *path = CLI_DEFAULT_STORE, *column = "off";
    bool json = false, markdown = false;
    const struct option_row rows[] = {
        {"store", OPTION_TEXT, &path, "FILE",
         "results (" CLI_DEFAULT_STORE "); FILE:RUN names a run elsewhere", 0, 0},
        {"column", OPTION_TEXT, &column, "off|enforce", "which score to compare (off)", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "as JSON", 0, 0},
        {"markdown", OPTION_FLAG, &markdown, NULL, "as Markdown", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 4, argc, argv, &words, &code)) return code;
    if (words.n_positional != 2) return cli_usage_error(self, "two runs are needed");
    bool enforce = strcmp(column, "enforce") == 0;
    if (!enforce && strcmp(column, "off") != 0)
        return cli_usage_error(self, "--column \"%s\": off or enforce", column);
    struct status st = {0};
    struct store *store = NULL;
    struct run_place a = {0}, b = {0};
    struct comparison *comparison = NULL;
    struct strbuf out;
    const struct comparison_options options = {enforce ? COMPARE_ENFORCE : COMPARE_OFF, 0.95};
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    bool good =
        run_place_open_common(&store, path, words.positional[0], words.positional[1], &st) ==
            STATUS_OK &&
        run_place_open(&a, store, words.positional[0], &st) == STATUS_OK &&
        run_place_open(&b, store, words.positional[1], &st) == STATUS_OK &&
        comparison_create(&comparison, a.store, a.id, b.store, b.id, &options, &st) == STATUS_OK;
    if (good) {
        (json       ? report_comparison_json
         : markdown ? report_comparison_markdown
                    : report_comparison_text)(comparison, &out);
        good = strbuf_check(&out, "the comparison", &st) == STATUS_OK &&
               cli_write(&out, &st) == STATUS_OK;
    }
    comparison_free(comparison);
    strbuf_release(&out);
    run_place_close(&a);
    run_place_close(&b);
    store_free(store);
    return good ? EXIT_DONE : cli_fail(&st);
}

/* ---- gate ---- */

struct gate_request {
    const char *store, *baseline, *candidate, *policy, *junit, *markdown;
    bool json;
};

static status_code write_rendering(const char *path, const struct gate_result *result,
                                   void (*render)(const struct gate_result *, struct strbuf *),
                                   struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    render(result, &out);
    status_code code = strbuf_check(&out, "the gate's report", st);
    if (code == STATUS_OK) code = path ? cli_write_file(path, &out, st) : cli_write(&out, st);
    strbuf_release(&out);
    return code;
}

static status_code write_gate(const struct gate_request *request, const struct gate_result *result,
                              struct status *st)
{
    status_code code =
        write_rendering(NULL, result, request->json ? report_gate_json : report_gate_text, st);
    if (code == STATUS_OK && request->junit)
        code = write_rendering(request->junit, result, report_gate_junit, st);
    if (code == STATUS_OK && request->markdown)
        code = write_rendering(request->markdown, result, report_gate_markdown, st);
    return code;
}

static int exit_code_of(enum gate_verdict verdict)
{
    switch (verdict) {
    case GATE_PASS:
        return EXIT_DONE;
    case GATE_REGRESSION:
        return EXIT_REGRESSION;
    case GATE_INCOMPLETE:
        return EXIT_INCOMPLETE;
    case GATE_INCONCLUSIVE:
        break;
    }
    return EXIT_INCONCLUSIVE;
}

static int run_gate(const struct gate_request *request)
{
    struct status st = {0};
    struct store *store = NULL;
    struct run_place baseline = {0}, candidate = {0};
    struct gate_policy *policy = NULL;
    struct gate_result *result = NULL;
    bool good = gate_policy_load(&policy, request->policy, &st) == STATUS_OK &&
                run_place_open_common(&store, request->store, request->baseline, request->candidate,
                                      &st) == STATUS_OK &&
                run_place_open(&baseline, store, request->baseline, &st) == STATUS_OK &&
                run_place_open(&candidate, store, request->candidate, &st) == STATUS_OK &&
                gate_run(&result, policy, baseline.store, baseline.id, candidate.store,
                         candidate.id, &st) == STATUS_OK &&
                write_gate(request, result, &st) == STATUS_OK;
    int code = good ? exit_code_of(result->verdict) : cli_fail(&st);
    gate_result_free(result);
    gate_policy_free(policy);
    run_place_close(&baseline);
    run_place_close(&candidate);
    store_free(store);
    return code;
}

int cmd_gate(const struct command *self, int argc, const char **argv)
{
    struct gate_request r = {.store = CLI_DEFAULT_STORE};
    const struct option_row rows[] = {
        {"baseline", OPTION_TEXT, &r.baseline, "RUN", "the run to hold the candidate against", 0,
         0},
        {"candidate", OPTION_TEXT, &r.candidate, "RUN", "the run that is judged", 0, 0},
        {"policy", OPTION_TEXT, &r.policy, "FILE",
         "margins and metrics as JSON (reports/README.md)", 0, 0},
        {"store", OPTION_TEXT, &r.store, "FILE",
         "results (" CLI_DEFAULT_STORE "); FILE:RUN names a run elsewhere", 0, 0},
        {"junit", OPTION_TEXT, &r.junit, "FILE", "also write JUnit XML", 0, 0},
        {"markdown", OPTION_TEXT, &r.markdown, "FILE", "also write Markdown", 0, 0},
        {"json", OPTION_FLAG, &r.json, NULL, "print JSON", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 7, argc, argv, &words, &code)) return code;
    if (!r.baseline || !r.candidate)
        return cli_usage_error(self, "--baseline and --candidate are needed");
    return run_gate(&r);
}
