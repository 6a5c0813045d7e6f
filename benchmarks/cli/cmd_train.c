/* assay train: labelled text to a classifier of its own, with figures on texts it did not see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/train.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/ranking.h"

#define FEW_TEXTS 200 /* fewer are too few to learn words from */

/* One head on the held-out texts of one domain. */
struct held_out {
    double *scores, *targets; /* (n) */
    bool *labels;
    size_t n, n_positive;
};

static void held_out_release(struct held_out *held)
{
    free(held->scores);
    free(held->targets);
    free(held->labels);
}

static status_code collect(const struct training_example *examples, const double *probabilities,
                           size_t n, int domain, int head, struct held_out *held, struct status *st)
{
    *held = (struct held_out){.scores = calloc(n, sizeof(double)),
                              .targets = calloc(n, sizeof(double)),
                              .labels = calloc(n, sizeof(bool))};
    if (!held->scores || !held->targets || !held->labels)
        return status_no_memory(st, "held-out scores");
    for (size_t i = 0; i < n; i++) {
        const struct training_example *e = &examples[i];
        if (!e->held_out || e->is_variant || e->domain != domain || isnan(e->label[head])) continue;
        held->scores[held->n] = probabilities[i * LINEAR_MAX_HEADS + (size_t)head];
        held->targets[held->n] = (double)e->label[head];
        held->labels[held->n] = e->label[head] >= 0.5f;
        held->n_positive += held->labels[held->n++];
    }
    return STATUS_OK;
}

static void append_figure(struct strbuf *out, const char *name, double value)
{
    strbuf_appendf(out, ", \"%s\": ", name);
    json_append_number(out, value);
}

/* One line of figures: JSON for programs, or columns for people. */
static void append_figures(struct strbuf *out, bool json, const char *domain, const char *category,
                           const struct held_out *held)
{
    struct rank_rates at = rank_at(held->scores, held->labels, held->n, 0.5);
    double auroc = rank_auroc(held->scores, held->labels, held->n);
    double auprc = rank_auprc(held->scores, held->labels, held->n);
    double ece = rank_ece(held->scores, held->targets, held->n, NULL);
    double pearson = rank_pearson(held->scores, held->targets, held->n);
    double spearman = rank_spearman(held->scores, held->targets, held->n);
    if (!json) {
        strbuf_appendf(out, "%-20.20s %-18s %7zu %7zu  %6.4f %6.4f %6.4f %6.4f %8.4f %8.4f\n",
                       domain, category, held->n, held->n_positive, auroc, auprc, at.f1, ece,
                       pearson, spearman);
        return;
    }
    strbuf_append_str(out, "{\"domain\": ");
    json_append_str(out, domain);
    strbuf_appendf(out, ", \"category\": \"%s\", \"n\": %zu, \"positive\": %zu", category, held->n,
                   held->n_positive);
    append_figure(out, "auroc", auroc);
    append_figure(out, "auprc", auprc);
    append_figure(out, "f1", at.f1);
    append_figure(out, "ece", ece);
    append_figure(out, "pearson", pearson);
    append_figure(out, "spearman", spearman);
    strbuf_append_str(out, "}\n");
}

status_code train_print_figures(struct training_set *set, const double *probabilities, bool json,
                                struct status *st)
{
    size_t n;
    const struct training_example *examples = training_set_examples(set, &n);
    const struct training_options *options = training_set_options(set);
    struct strbuf out;
    status_code code = STATUS_OK;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    if (!json)
        strbuf_append_str(&out, "held-out texts       category                 n positive "
                                " AUROC  AUPRC F1@0.5    ECE  Pearson Spearman\n");
    for (int d = 0; d < training_set_n_domains(set) && code == STATUS_OK; d++)
        for (int h = 0; h < options->n_heads && code == STATUS_OK; h++) {
            struct held_out held;
            code = collect(examples, probabilities, n, d, h, &held, st);
            if (code == STATUS_OK && held.n)
                append_figures(&out, json, training_set_domain(set, d),
                               hazard_get(options->category[h])->name, &held);
            held_out_release(&held);
        }
    if (code == STATUS_OK) code = strbuf_check(&out, "held-out figures", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    strbuf_release(&out);
    return code;
}

static status_code print_model(struct training_set *set, const struct linear_model *model,
                               bool json, struct status *st)
{
    size_t n;
    const struct training_example *examples = training_set_examples(set, &n);
    double *probabilities = calloc(n, LINEAR_MAX_HEADS * sizeof *probabilities);
    if (!probabilities) return status_no_memory(st, "held-out scores");
    for (size_t i = 0; i < n; i++) {
        struct linear_sum sum;
        if (!examples[i].held_out) continue;
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, examples[i].text);
        linear_sum_scores(&sum, NULL, probabilities + i * LINEAR_MAX_HEADS);
    }
    status_code code = train_print_figures(set, probabilities, json, st);
    free(probabilities);
    return code;
}

/* Trains once more, on the held-out texts too, and keeps the calibration that they gave. */
static status_code refit(struct training_set *set, const struct training_options *options,
                         struct linear_model **model, struct status *st)
{
    size_t n;
    struct linear_model *whole;
    struct training_example *examples = training_set_examples(set, &n);
    for (size_t i = 0; i < n; i++) examples[i].held_out = false;
    status_code code = training_run(&whole, options, examples, n, st);
    if (code != STATUS_OK) return code;
    for (int h = 0; h < whole->n_heads; h++) {
        const struct linear_head *known = &(*model)->heads[h];
        memcpy(whole->heads[h].knot_logit, known->knot_logit, sizeof known->knot_logit);
        memcpy(whole->heads[h].knot_probability, known->knot_probability,
               sizeof known->knot_probability);
    }
    linear_model_free(*model);
    *model = whole;
    return STATUS_OK;
}

static status_code write_model(const struct training_set *set, const struct linear_model *model,
                               const char *path, struct status *st)
{
    struct strbuf file, origin;
    strbuf_init(&file, LIMIT_LINEAR_MODEL_BYTES);
    strbuf_init(&origin, LIMIT_CONFIG_BYTES);
    training_set_append_origin(set, &origin);
    linear_model_append(&file, model, (struct text){origin.data, origin.length});
    status_code code = strbuf_check(&origin, "the origin of a model", st);
    if (code == STATUS_OK) code = strbuf_check(&file, "a model", st);
    if (code == STATUS_OK) code = cli_write_file(path, &file, st);
    if (code == STATUS_OK)
        log_info(&cli_logger, "wrote %s, %zu bytes; use it as --classifier linear:%s", path,
                 file.length, path);
    strbuf_release(&file);
    strbuf_release(&origin);
    return code;
}

void train_say_cost(double start)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage); /* fails for a wrong first argument alone */
    log_info(&cli_logger, "trained in %.1f s, %.0f MB at most", clock_seconds() - start,
             (double)usage.ru_maxrss * 1024 / 1e6);
}

static status_code train(struct training_set *set, const char *path, bool json, struct status *st)
{
    size_t n;
    double start = clock_seconds();
    struct linear_model *model;
    const struct training_example *examples = training_set_examples(set, &n);
    struct training_options options = *training_set_options(set);
    options.log = &cli_logger;
    int n_domains = training_set_n_domains(set);
    log_info(&cli_logger, "%zu texts of %d domain%s", n, n_domains, n_domains == 1 ? "" : "s");
    if (n < FEW_TEXTS)
        log_warning(&cli_logger,
                    "words are learnt from %d texts and more; of %zu the figures say little, and "
                    "--probe MODEL may do better",
                    FEW_TEXTS, n);
    status_code code = training_run(&model, &options, examples, n, st);
    if (code == STATUS_OK) code = print_model(set, model, json, st);
    if (code == STATUS_OK && training_set_refits(set)) code = refit(set, &options, &model, st);
    if (code == STATUS_OK) code = write_model(set, model, path, st);
    linear_model_free(model);
    if (code == STATUS_OK) train_say_cost(start);
    return code;
}

static status_code load_and_train(const char *recipe_path, const struct recipe_choices *choices,
                                  int64_t fold, const struct probe_order *order, struct status *st)
{
    struct strbuf recipe;
    struct training_set *set;
    strbuf_init(&recipe, LIMIT_CONFIG_BYTES);
    status_code code = recipe_path ? strbuf_read_file(&recipe, recipe_path, st)
                                   : training_recipe_write(&recipe, choices, st);
    if (code == STATUS_OK)
        code = training_set_load(&set, (struct text){recipe.data, recipe.length}, recipe_path,
                                 recipe_path ? choices->data : NULL, (int)fold, st);
    strbuf_release(&recipe);
    if (code != STATUS_OK) return code;
    code = order->model ? train_probe(set, order, st) : train(set, order->out, order->json, st);
    if (code == STATUS_BAD_INPUT)
        status_prefix(st, "%s", recipe_path ? recipe_path : choices->data);
    training_set_free(set);
    return code;
}

int cmd_train(const struct command *self, int argc, const char **argv)
{
    const char *recipe = NULL, *pool = "last";
    struct probe_order order = {0};
    int64_t fold = 0;
    struct recipe_choices choices = {.text_column = "text",
                                     .name = "trained",
                                     .seed = 1,
                                     .epochs = 6,
                                     .bits = 18,
                                     .held_out = 0.2};
    const struct option_row rows[] = {
        {"data", OPTION_TEXT, &choices.data, "F",
         "labelled texts: CSV, TSV or JSON lines; with --recipe, the folder of its files", 0, 0},
        {"out", OPTION_TEXT, &order.out, "F", "where the classifier goes", 0, 0},
        {"text-column", OPTION_TEXT, &choices.text_column, "C", "column of the text (text)", 0, 0},
        {"labels", OPTION_TEXT, &choices.labels, "CATEGORY=COLUMN,...",
         "label columns, 0 to 1 (those named as hazard categories are)", 0, 0},
        {"name", OPTION_TEXT, &choices.name, "NAME", "what the classifier is called (trained)", 0,
         0},
        {"epochs", OPTION_INT, &choices.epochs, "N", "passes over the texts (6)", 1, 1000},
        {"bits", OPTION_INT, &choices.bits, "N", "the table has 2^N buckets (18)", LINEAR_MIN_BITS,
         LINEAR_MAX_BITS},
        {"held-out", OPTION_NUMBER, &choices.held_out, "P",
         "share of texts kept back for figures and calibration (0.2)", 0, 0},
        {"fold", OPTION_INT, &fold, "N", "which share is kept back: 0, 1, ... (0)", 0, 999},
        {"refit", OPTION_FLAG, &choices.refit, NULL, "after the figures, train again on all texts",
         0, 0},
        {"seed", OPTION_SEED, &choices.seed, "S", "of the order and of the split (1)", 0, 0},
        {"recipe", OPTION_TEXT, &recipe, "F", "several sources, as benchmarks/README.md says", 0,
         0},
        {"probe", OPTION_TEXT, &order.model, "MODEL",
         "instead: logistic regression on this model's hidden states, for few texts", 0, 0},
        {"pool", OPTION_TEXT, &pool, "last|mean", "the last token's state, or the mean (last)", 0,
         0},
        {"json", OPTION_FLAG, &order.json, NULL, "figures as JSON lines", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!choices.data || !order.out) return cli_usage_error(self, "--data and --out are needed");
    if (!(choices.held_out >= 0 && choices.held_out <= 0.9))
        return cli_usage_error(self, "--held-out is a share of 0 to 0.9");
    if (!probe_pool_find(pool, &order.pool)) return cli_usage_error(self, "--pool is last or mean");
    struct status st = {0};
    if (load_and_train(recipe, &choices, fold, &order, &st) != STATUS_OK) return cli_fail(&st);
    return EXIT_DONE;
}
