/* assay guard-eval: how good a classifier or a policy is on labelled text. */
#include <math.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/guard_eval.h"
#include "benchmarks/store_cache.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/published.h"
#include "reports/report_grid.h"

static void member(struct strbuf *out, const char *key, double value)
{
    strbuf_appendf(out, ", \"%s\": ", key);
    json_append_number(out, value);
}

static void append_rates(struct strbuf *out, const char *key, const struct rank_rates *rates)
{
    strbuf_appendf(out, ", \"%s\": {\"f1\": ", key);
    json_append_number(out, rates->f1);
    member(out, "precision", rates->precision);
    member(out, "recall", rates->recall);
    member(out, "false_positive_rate", rates->false_positive_rate);
    strbuf_append_str(out, "}");
}

static void append_group_json(struct strbuf *out, int i, const struct guard_group *g)
{
    strbuf_append_str(out, i ? ", {\"name\": " : "{\"name\": ");
    json_append_str(out, g->name);
    strbuf_appendf(out, ", \"n\": %zu, \"positive\": %zu", g->n, g->n_positive);
    member(out, "subgroup_auroc", g->auroc);
    member(out, "bpsn_auroc", g->bpsn_auroc);
    member(out, "bnsp_auroc", g->bnsp_auroc);
    member(out, "false_positive_rate", g->false_positive_rate);
    member(out, "true_positive_rate", g->true_positive_rate);
    strbuf_append_str(out, "}");
}

static status_code append_label_json(struct strbuf *out, const struct guard_eval *eval, int label,
                                     struct status *st)
{
    struct guard_figures f;
    status_code code = guard_eval_figures(eval, label, &f, st);
    strbuf_appendf(out, "%s{\"label\": \"%s\", \"n\": %zu, \"positive\": %zu", label ? ", " : "",
                   f.label, f.n, f.n_positive);
    member(out, "auroc", f.auroc);
    member(out, "auprc", f.auprc);
    member(out, "pearson", f.pearson);
    member(out, "spearman", f.spearman);
    member(out, "dev_threshold", f.threshold);
    append_rates(out, "at_dev_threshold", &f.at_threshold);
    member(out, "best_f1", f.best_f1);
    append_rates(out, "at_half", &f.at_half);
    member(out, "fpr_at_tpr_80", f.fpr_at_80);
    member(out, "fpr_at_tpr_95", f.fpr_at_95);
    member(out, "ece", f.ece);
    strbuf_append_str(out, ", \"reliability\": [");
    for (int b = 0; b < RANK_BINS && code == STATUS_OK; b++) {
        strbuf_appendf(out, "%s{\"n\": %zu", b ? ", " : "", f.bins[b].n);
        member(out, "score", f.bins[b].mean_score);
        member(out, "label", f.bins[b].mean_target);
        strbuf_append_str(out, "}");
    }
    strbuf_append_str(out, "], \"groups\": [");
    for (int g = 0; g < guard_eval_n_groups(eval) && code == STATUS_OK; g++) {
        struct guard_group group;
        code = guard_eval_group(eval, label, g, &group, st);
        append_group_json(out, g, &group);
    }
    strbuf_append_str(out, "]}");
    return code;
}

/* What is evaluated, and what stands beside it. */
struct subject {
    const char *id, *sha256;
    const struct classifier *classifier; /* NULL: a policy */
    const struct guard_eval_request *request;
    const struct published *published; /* NULL: not asked for */
};

static const char *name_of(const struct subject *subject, int k)
{
    return k ? classifier_id(subject->request->others[k - 1]) : subject->id;
}

static status_code append_agreements_json(struct strbuf *out, const struct guard_eval *eval,
                                          const struct subject *subject, struct status *st)
{
    status_code code = STATUS_OK;
    strbuf_append_str(out, ", \"agreement\": [");
    for (int i = 0; i < guard_eval_n_agreements(eval) && code == STATUS_OK; i++) {
        struct guard_agreement a;
        code = guard_eval_agreement(eval, i, &a, st);
        strbuf_appendf(out, "%s{\"label\": \"%s\", \"first\": ", i ? ", " : "", a.label);
        json_append_str(out, name_of(subject, a.first));
        strbuf_append_str(out, ", \"second\": ");
        json_append_str(out, name_of(subject, a.second));
        strbuf_appendf(out, ", \"n\": %zu", a.n);
        member(out, "pearson", a.pearson);
        member(out, "spearman", a.spearman);
        member(out, "auroc_at_half", a.auroc);
        member(out, "same_side", a.same);
        strbuf_append_str(out, "}");
    }
    strbuf_append_str(out, "]");
    return code;
}

static status_code append_json(struct strbuf *out, const struct guard_eval *eval,
                               const struct subject *subject, struct status *st)
{
    status_code code = STATUS_OK;
    strbuf_append_str(out, "{\"guard\": {\"id\": ");
    json_append_str(out, subject->id);
    strbuf_appendf(out,
                   ", \"sha256\": \"%s\"}, \"data_sha256\": \"%s\", \"rows\": %zu, \"failed\": %zu",
                   subject->sha256, guard_eval_sha256(eval), guard_eval_n_rows(eval),
                   guard_eval_n_failed(eval));
    if (subject->classifier)
        strbuf_appendf(
            out, ", \"trained_on_data\": %s",
            classifier_trained_on(subject->classifier, guard_eval_sha256(eval)) ? "true" : "null");
    member(out, "latency_p50_seconds", guard_eval_latency(eval, 0.5));
    member(out, "latency_p95_seconds", guard_eval_latency(eval, 0.95));
    strbuf_append_str(out, ", \"labels\": [");
    for (int i = 0; i < guard_eval_n_labels(eval) && code == STATUS_OK; i++)
        code = append_label_json(out, eval, i, st);
    strbuf_append_str(out, "]");
    if (code == STATUS_OK && guard_eval_n_agreements(eval))
        code = append_agreements_json(out, eval, subject, st);
    if (subject->published) {
        strbuf_append_str(out, ", \"published\": ");
        published_append_json(subject->published, NULL, 0, out);
    }
    strbuf_append_str(out, "}\n");
    return code;
}

static void figure_cell(struct report_grid *grid, double value)
{
    if (isnan(value))
        report_grid_cell(grid, "%s", "-");
    else
        report_grid_cell(grid, "%.4f", value);
}

static void print_grid(struct report_grid *grid, status_code code, struct strbuf *out)
{
    if (code == STATUS_OK) {
        strbuf_append_str(out, "\n");
        report_grid_text(grid, out);
    }
    report_grid_release(grid);
}

static void figures_row(struct report_grid *grid, const struct guard_figures *f)
{
    const double cells[] = {f->auroc,
                            f->auprc,
                            f->threshold,
                            f->at_threshold.f1,
                            f->best_f1,
                            f->at_half.f1,
                            f->at_half.recall,
                            f->at_half.false_positive_rate,
                            f->fpr_at_80,
                            f->fpr_at_95,
                            f->ece,
                            f->pearson,
                            f->spearman};
    report_grid_cell(grid, "%s", f->label);
    report_grid_cell(grid, "%zu", f->n);
    report_grid_cell(grid, "%zu", f->n_positive);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) figure_cell(grid, cells[i]);
}

static status_code append_figures(struct strbuf *out, const struct guard_eval *eval,
                                  struct status *st)
{
    static const char *const headings[] = {
        "Label",      ">n",       ">Positive", ">AUROC",   ">AUPRC",   ">Dev threshold",
        ">F1@dev",    ">Best F1", ">F1@0.5",   ">TPR@0.5", ">FPR@0.5", ">FPR@TPR80",
        ">FPR@TPR95", ">ECE",     ">Pearson",  ">Spearman"};
    struct report_grid grid;
    status_code code = STATUS_OK;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (int i = 0; i < guard_eval_n_labels(eval) && code == STATUS_OK; i++) {
        struct guard_figures f;
        code = guard_eval_figures(eval, i, &f, st);
        if (code == STATUS_OK) figures_row(&grid, &f);
    }
    print_grid(&grid, code, out);
    return code;
}

static status_code append_groups(struct strbuf *out, const struct guard_eval *eval, int label,
                                 const char *name, struct status *st)
{
    static const char *const headings[] = {"Label", "Group", ">n",       ">Positive", ">In group",
                                           ">BPSN", ">BNSP", ">TPR@0.5", ">FPR@0.5"};
    struct report_grid grid;
    status_code code = STATUS_OK;
    if (!guard_eval_n_groups(eval)) return STATUS_OK;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (int g = 0; g < guard_eval_n_groups(eval) && code == STATUS_OK; g++) {
        struct guard_group group;
        code = guard_eval_group(eval, label, g, &group, st);
        if (code != STATUS_OK) break;
        report_grid_cell(&grid, "%s", name);
        report_grid_cell(&grid, "%s", group.name);
        report_grid_cell(&grid, "%zu", group.n);
        report_grid_cell(&grid, "%zu", group.n_positive);
        figure_cell(&grid, group.auroc);
        figure_cell(&grid, group.bpsn_auroc);
        figure_cell(&grid, group.bnsp_auroc);
        figure_cell(&grid, group.true_positive_rate);
        figure_cell(&grid, group.false_positive_rate);
    }
    print_grid(&grid, code, out);
    return code;
}

static status_code append_agreements(struct strbuf *out, const struct guard_eval *eval,
                                     const struct subject *subject, struct status *st)
{
    static const char *const headings[] = {"Label",    "First",     "Second",    ">n",
                                           ">Pearson", ">Spearman", ">AUROC@.5", ">Same side"};
    struct report_grid grid;
    status_code code = STATUS_OK;
    if (!guard_eval_n_agreements(eval)) return STATUS_OK;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (int i = 0; i < guard_eval_n_agreements(eval) && code == STATUS_OK; i++) {
        struct guard_agreement a;
        code = guard_eval_agreement(eval, i, &a, st);
        if (code != STATUS_OK) break;
        report_grid_cell(&grid, "%s", a.label);
        report_grid_cell(&grid, "%s", name_of(subject, a.first));
        report_grid_cell(&grid, "%s", name_of(subject, a.second));
        report_grid_cell(&grid, "%zu", a.n);
        figure_cell(&grid, a.pearson);
        figure_cell(&grid, a.spearman);
        figure_cell(&grid, a.auroc);
        figure_cell(&grid, a.same);
    }
    print_grid(&grid, code, out);
    return code;
}

static status_code append_table(struct strbuf *out, const struct guard_eval *eval,
                                const struct subject *subject, struct status *st)
{
    strbuf_appendf(out, "%s: %zu texts, %zu not scored, %.1f us a text (p95 %.1f us)\n",
                   subject->id, guard_eval_n_rows(eval), guard_eval_n_failed(eval),
                   guard_eval_latency(eval, 0.5) * 1e6, guard_eval_latency(eval, 0.95) * 1e6);
    status_code code = append_figures(out, eval, st);
    for (int i = 0; i < guard_eval_n_labels(eval) && code == STATUS_OK; i++) {
        struct guard_figures f;
        code = guard_eval_figures(eval, i, &f, st);
        if (code == STATUS_OK) code = append_groups(out, eval, i, f.label, st);
    }
    if (code == STATUS_OK) code = append_agreements(out, eval, subject, st);
    if (subject->published) {
        strbuf_append_str(out, "\n");
        published_append_table(subject->published, NULL, 0, out);
    }
    return code;
}

static void warn_of_training(const struct guard_eval *eval, const struct subject *subject)
{
    const struct guard_eval_request *request = subject->request;
    for (int k = 0; k <= request->n_others; k++) {
        const struct classifier *classifier = k ? request->others[k - 1] : subject->classifier;
        if (classifier && classifier_trained_on(classifier, guard_eval_sha256(eval)))
            log_warning(&cli_logger,
                        "%s was trained on %s: its figures here are better than on new texts",
                        classifier_id(classifier), request->data);
    }
}

static status_code print_eval(const struct guard_eval *eval, const struct subject *subject,
                              bool json, struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code =
        json ? append_json(&out, eval, subject, st) : append_table(&out, eval, subject, st);
    if (code == STATUS_OK) code = strbuf_check(&out, "an evaluation", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    strbuf_release(&out);
    if (code == STATUS_OK) warn_of_training(eval, subject);
    if (code == STATUS_OK && guard_eval_n_failed(eval))
        log_warning(&cli_logger, "%zu texts were not scored; the first: %s",
                    guard_eval_n_failed(eval), guard_eval_failure(eval));
    return code;
}

/* The classifiers of --against, comma by comma. */
static status_code open_others(struct guard_eval_request *request, const char *specs,
                               const struct score_cache *cache, struct classifier **others,
                               struct status *st)
{
    for (const char *p = specs; p && *p;) {
        char spec[1024];
        size_t length = strcspn(p, ",");
        if (request->n_others == GUARD_EVAL_MAX_OTHERS || length >= sizeof spec)
            return status_set(st, STATUS_USAGE, "--against takes at most %d classifiers",
                              GUARD_EVAL_MAX_OTHERS);
        snprintf(spec, sizeof spec, "%.*s", (int)length, p);
        status_code code = classifier_open_cached(&others[request->n_others], spec, cache, st);
        if (code != STATUS_OK) return code;
        request->others[request->n_others] = others[request->n_others];
        request->n_others++;
        p += length + (p[length] == ',');
    }
    return STATUS_OK;
}

/* What the command was asked for. */
struct eval_order {
    const char *classifier, *endpoint, *policy, *stage, *against, *store;
    bool json, published;
};

static status_code print_published(bool json, struct status *st)
{
    struct published *figures = NULL;
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code = published_load(&figures, "guards", st);
    if (code == STATUS_OK && json) {
        strbuf_append_str(&out, "{\"published\": ");
        published_append_json(figures, NULL, 0, &out);
        strbuf_append_str(&out, "}\n");
    } else if (code == STATUS_OK) {
        published_append_table(figures, NULL, 0, &out);
    }
    if (code == STATUS_OK) code = strbuf_check(&out, "published figures", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    published_free(figures);
    strbuf_release(&out);
    return code;
}

static status_code evaluate(struct guard_eval_request *request, const struct eval_order *order,
                            size_t *n_failed, struct status *st)
{
    const char *policy_name = order->policy;
    struct classifier *classifier = NULL, *others[GUARD_EVAL_MAX_OTHERS] = {NULL};
    struct policy *policy = NULL;
    struct pipeline *pipeline = NULL;
    struct guard_eval *eval = NULL;
    struct published *published = NULL;
    struct store *store = NULL;
    struct score_cache cache = store_cache(&store);
    status_code code = order->store ? store_open(&store, order->store, STORE_WRITE, st) : STATUS_OK;
    if (code == STATUS_OK && policy_name) {
        code = cli_pipeline_open(&pipeline, &policy, policy_name, request->stage, GUARD_SHADOW,
                                 &cache, st);
    } else if (code == STATUS_OK) {
        code = cli_classifier_open(&classifier, order->classifier ? order->classifier : "builtin",
                                   order->endpoint, &cache, st);
    }
    if (code == STATUS_OK) code = open_others(request, order->against, &cache, others, st);
    if (code == STATUS_OK && order->published) code = published_load(&published, "guards", st);
    request->classifier = classifier;
    request->pipeline = pipeline;
    if (code == STATUS_OK) code = guard_eval_run(&eval, request, st);
    if (code == STATUS_OK) {
        const struct subject subject = {
            policy ? policy_get_info(policy)->name : classifier_id(classifier),
            policy ? policy_get_info(policy)->sha256 : classifier_sha256(classifier), classifier,
            request, published};
        code = print_eval(eval, &subject, order->json, st);
    }
    *n_failed = eval ? guard_eval_n_failed(eval) : 0;
    guard_eval_free(eval);
    pipeline_free(pipeline);
    policy_free(policy);
    classifier_free(classifier);
    for (int i = 0; i < GUARD_EVAL_MAX_OTHERS; i++) classifier_free(others[i]);
    published_free(published);
    store_free(store);
    return code;
}

int cmd_guard_eval(const struct command *self, int argc, const char **argv)
{
    struct eval_order order = {0};
    struct guard_eval_request request = {
        .text_column = "text", .stage = GUARD_INPUT, .dev_share = 0.2};
    const struct option_row rows[] = {
        {"classifier", OPTION_TEXT, &order.classifier, "C", "which classifier (builtin)", 0, 0},
        {"policy", OPTION_TEXT, &order.policy, "P",
         "a policy instead: whether it calls for its action", 0, 0},
        {"stage", OPTION_TEXT, &order.stage, "input|output", "which stage of the policy (input)", 0,
         0},
        {"data", OPTION_TEXT, &request.data, "F", "labelled text: CSV, TSV or JSON lines", 0, 0},
        {"text-column", OPTION_TEXT, &request.text_column, "C", "column of the text (text)", 0, 0},
        {"prompt-column", OPTION_TEXT, &request.prompt_column, "C", "what the text answers", 0, 0},
        {"labels", OPTION_TEXT, &request.labels, "CATEGORY=COLUMN,...",
         "label columns; the category any is the highest score", 0, 0},
        {"positive", OPTION_TEXT, &request.positive, "VALUE",
         "the label that means harmful (numbers: 0.5 and above)", 0, 0},
        {"group-column", OPTION_TEXT, &request.group_column, "C", "figures for each value of it", 0,
         0},
        {"group-words", OPTION_TEXT, &request.group_words, "W,W,...",
         "figures for the texts with each word: identity bias", 0, 0},
        {"dev-share", OPTION_NUMBER, &request.dev_share, "P",
         "share of texts on which the threshold is fixed (0.2)", 0, 0},
        {"endpoint", OPTION_TEXT, &order.endpoint, "URL",
         "where a remote classifier is: perspective, or moderation", 0, 0},
        {"store", OPTION_TEXT, &order.store, "FILE",
         "keep what a remote classifier says, and ask once", 0, 0},
        {"against", OPTION_TEXT, &order.against, "C,C,...",
         "how far these classifiers say the same of each label", 0, 0},
        {"published", OPTION_FLAG, &order.published, NULL,
         "and what makers of guards report, with sources; alone without --data", 0, 0},
        {"json", OPTION_FLAG, &order.json, NULL, "one JSON object, with reliability bins", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    struct status st = {0};
    if (!request.data && order.published)
        return print_published(order.json, &st) == STATUS_OK ? EXIT_DONE : cli_fail(&st);
    if (!request.data) return cli_usage_error(self, "--data is missing");
    if (order.classifier && order.policy)
        return cli_usage_error(self, "--classifier or --policy, not both");
    if (order.stage && !guard_stage_find(order.stage, &request.stage))
        return cli_usage_error(self, "--stage is input or output");
    if (!(request.dev_share >= 0 && request.dev_share <= 1))
        return cli_usage_error(self, "--dev-share is a share of 0 to 1");
    size_t n_failed;
    if (evaluate(&request, &order, &n_failed, &st) != STATUS_OK) return cli_fail(&st);
    return n_failed ? EXIT_INCOMPLETE : EXIT_DONE;
}
