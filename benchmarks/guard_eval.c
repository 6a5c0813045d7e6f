#include "benchmarks/guard_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/labelled_text.h"
#include "classifiers/word_reader.h"
#include "engine/base/arena.h"
#include "engine/base/limits.h"

#define NAME_BYTES      128
#define ANY             HAZARD_COUNT /* in place of a category: the highest of all */
#define NO_GROUP        (-1)
/* Rows that are scored together, so that a service is asked several things at a time. */
#define EVAL_BATCH_ROWS 64

struct label {
    int category; /* or ANY */
    char column[NAME_BYTES];
};

struct eval_row {
    double score[GUARD_EVAL_MAX_LABELS];  /* NAN: not scored */
    double target[GUARD_EVAL_MAX_LABELS]; /* NAN: no label */
    double seconds;
    bool is_dev;
    int group;                                 /* by column, or NO_GROUP */
    uint64_t words[GUARD_EVAL_MAX_WORDS / 64]; /* bit w: the text has group word w */
};

struct guard_eval {
    struct label labels[GUARD_EVAL_MAX_LABELS];
    int n_labels;
    struct eval_row *rows;
    double *others; /* (room, n_others, n_labels): scores, NAN where there is none */
    int n_others;
    size_t n, room, n_failed;
    char failure[256];
    char sha256[SHA256_HEX_SIZE];
    struct arena names;
    const char *groups[LIMIT_EVAL_GROUPS]; /* by column */
    int n_groups;
    const char *words[GUARD_EVAL_MAX_WORDS];
    int n_words;
};

/* ---- what is asked for ---- */

static status_code add_label(struct guard_eval *eval, int category, struct text column,
                             struct status *st)
{
    if (eval->n_labels == GUARD_EVAL_MAX_LABELS || column.length >= NAME_BYTES)
        return status_set(st, STATUS_LIMIT, "more than %d labels, or a column name over %d bytes",
                          GUARD_EVAL_MAX_LABELS, NAME_BYTES - 1);
    struct label *label = &eval->labels[eval->n_labels++];
    label->category = category;
    memcpy(label->column, column.data, column.length);
    label->column[column.length] = '\0';
    return STATUS_OK;
}

static status_code read_labels(struct guard_eval *eval, const char *labels, struct status *st)
{
    for (const char *p = labels; *p;) {
        size_t length = strcspn(p, ",");
        const char *equals = memchr(p, '=', length);
        struct text name = {p, equals ? (size_t)(equals - p) : length};
        struct text column = name;
        enum hazard_category category;
        int wanted = ANY;
        if (equals) column = (struct text){equals + 1, length - name.length - 1};
        bool is_any = text_equal(name, text_of("any"));
        if (!is_any && hazard_find(name, &category)) wanted = (int)category;
        if ((wanted == ANY && !is_any) || !column.length)
            return status_set(
                st, STATUS_USAGE,
                "labels: \"%.*s\" is not CATEGORY=COLUMN with a hazard category or any",
                (int)(length > 64 ? 64 : length), p);
        status_code code = add_label(eval, wanted, column, st);
        if (code != STATUS_OK) return code;
        p += length + (p[length] == ',');
    }
    return STATUS_OK;
}

/* The categories that the classifier judges and that the first row has a column for. */
static status_code find_labels(struct guard_eval *eval, const struct guard_eval_request *request,
                               const struct labelled_text *rows, struct status *st)
{
    hazard_set judged = request->classifier ? classifier_categories(request->classifier) : 0;
    for (int c = 0; c < HAZARD_COUNT; c++) {
        const char *name = hazard_get((enum hazard_category)c)->name;
        if (!(judged & HAZARD_BIT(c)) || !labelled_text_has_column(rows, name)) continue;
        status_code code = add_label(eval, c, text_of(name), st);
        if (code != STATUS_OK) return code;
    }
    if (eval->n_labels) return STATUS_OK;
    return status_set(st, STATUS_USAGE,
                      "%s: no column is named as a hazard category; say which columns are labels "
                      "(CATEGORY=COLUMN or any=COLUMN)",
                      request->data);
}

static status_code check_labels(const struct guard_eval *eval,
                                const struct guard_eval_request *request, struct status *st)
{
    hazard_set judged = request->classifier ? classifier_categories(request->classifier) : 0;
    for (int i = 0; i < eval->n_labels; i++) {
        int category = eval->labels[i].category;
        if (category == ANY || judged & HAZARD_BIT(category)) continue;
        return status_set(st, STATUS_USAGE, "labels: %s is not judged; %s",
                          hazard_get((enum hazard_category)category)->name,
                          request->classifier ? "any=COLUMN takes the highest score"
                                              : "a policy has any=COLUMN alone");
    }
    return STATUS_OK;
}

static status_code read_words(struct guard_eval *eval, const char *words, struct status *st)
{
    for (const char *p = words; *p;) {
        size_t length = strcspn(p, ",");
        if (eval->n_words == GUARD_EVAL_MAX_WORDS)
            return status_set(st, STATUS_LIMIT, "more than %d group words", GUARD_EVAL_MAX_WORDS);
        const char *copy = arena_strndup(&eval->names, p, length);
        if (!copy) return status_no_memory(st, "group words");
        if (length) eval->words[eval->n_words++] = copy;
        p += length + (p[length] == ',');
    }
    return STATUS_OK;
}

/* ---- rows ---- */

/* Which rows are the dev split must follow from the text alone (FNV-1a, its upper half). */
static bool in_dev_split(struct text text, double share)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.length; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u;
    hash ^= hash >> 29;
    return (double)(hash >> 32 & 0xffffff) < share * 0x1p24;
}

static status_code find_group(struct guard_eval *eval, struct text name, int *group,
                              struct status *st)
{
    for (*group = 0; *group < eval->n_groups; (*group)++)
        if (text_equal(text_of(eval->groups[*group]), name)) return STATUS_OK;
    if (eval->n_groups == LIMIT_EVAL_GROUPS)
        return status_set(st, STATUS_LIMIT, "more than %d groups", LIMIT_EVAL_GROUPS);
    const char *copy = arena_strndup(&eval->names, name.data, name.length);
    if (!copy) return status_no_memory(st, "groups");
    eval->groups[eval->n_groups++] = copy;
    return STATUS_OK;
}

static status_code find_words(const struct guard_eval *eval, struct text text, struct eval_row *row,
                              struct status *st)
{
    struct word_reader reader;
    word_reader_init(&reader, text);
    while (word_reader_next(&reader))
        for (int w = 0; w < eval->n_words; w++)
            if (text_equal(text_of(eval->words[w]), reader.word))
                row->words[w / 64] |= (uint64_t)1 << w % 64;
    status_code code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    return code;
}

/* A label as a number; NAN where there is none. */
static status_code read_target(const struct labelled_text *rows, const char *column,
                               const char *positive, double *out, struct status *st)
{
    struct labelled_cell cell;
    status_code code = labelled_text_cell(rows, column, &cell, st);
    *out = (double)NAN;
    if (code != STATUS_OK || cell.kind == CELL_ABSENT) return code;
    if (positive)
        *out = cell.kind == CELL_TEXT ? text_equal(cell.text, text_of(positive))
                                      : cell.number == strtod(positive, NULL);
    else if (cell.is_number)
        *out = cell.number;
    else if (text_equal(cell.text, text_of("true")) || text_equal(cell.text, text_of("false")))
        *out = text_equal(cell.text, text_of("true"));
    else
        return status_set(st, STATUS_BAD_INPUT,
                          "the label \"%.*s\" is no number; say which text means harmful "
                          "(--positive)",
                          (int)(cell.text.length > 32 ? 32 : cell.text.length), cell.text.data);
    return STATUS_OK;
}

static void keep_failure(struct guard_eval *eval, const char *message)
{
    eval->n_failed++;
    if (!eval->failure[0]) snprintf(eval->failure, sizeof eval->failure, "%.200s", message);
}

/* One classifier's scores by label; NAN where it says nothing. */
static void take_scores(const struct guard_eval *eval, const struct classifier_item *item,
                        double *out)
{
    for (int i = 0; i < eval->n_labels; i++) {
        out[i] = (double)NAN;
        for (int c = 0; c < HAZARD_COUNT && item->status.code == STATUS_OK; c++) {
            if (eval->labels[i].category != ANY && eval->labels[i].category != c) continue;
            if (!item->scores.of[c].scored) continue;
            if (eval->labels[i].category == ANY && !hazard_is_harm((enum hazard_category)c))
                continue;
            out[i] = fmax(isnan(out[i]) ? 0 : out[i], item->scores.of[c].probability);
        }
    }
}

static double *others_of(const struct guard_eval *eval, size_t row)
{
    return eval->others + row * (size_t)eval->n_others * (size_t)eval->n_labels;
}

/* Rows that were read and wait for their scores: the last n of eval->rows. */
struct eval_batch {
    struct classifier_item items[EVAL_BATCH_ROWS];
    struct guard_item guarded[EVAL_BATCH_ROWS];
    int n;
    struct arena texts;
};

static void score_with_classifiers(struct guard_eval *eval,
                                   const struct guard_eval_request *request,
                                   struct eval_batch *batch)
{
    size_t first = eval->n - (size_t)batch->n, n = (size_t)batch->n;
    if (request->classifier) classifier_score_all(request->classifier, batch->items, n);
    for (size_t i = 0; i < n && request->classifier; i++) {
        const struct classifier_item *item = &batch->items[i];
        if (item->status.code != STATUS_OK) keep_failure(eval, item->status.message);
        take_scores(eval, item, eval->rows[first + i].score);
        eval->rows[first + i].seconds = item->seconds;
    }
    for (int k = 0; k < eval->n_others; k++) {
        classifier_score_all(request->others[k], batch->items, n);
        for (size_t i = 0; i < n; i++)
            take_scores(eval, &batch->items[i], others_of(eval, first + i) + k * eval->n_labels);
    }
}

static status_code score_with_policy(struct guard_eval *eval,
                                     const struct guard_eval_request *request,
                                     struct eval_batch *batch, struct status *st)
{
    struct eval_row *row = &eval->rows[eval->n - (size_t)batch->n];
    for (int i = 0; i < batch->n; i++)
        batch->guarded[i] = (struct guard_item){.guard_text = request->stage == GUARD_INPUT
                                                                  ? batch->items[i].text
                                                                  : batch->items[i].prompt,
                                                .reply = batch->items[i].text};
    status_code code =
        pipeline_check_all(request->pipeline, request->stage, batch->guarded, batch->n, st);
    for (int i = 0; i < batch->n; i++, row++) {
        struct guard_record *record = &batch->guarded[i].record;
        const struct guard_event *event = record->n_events ? &record->events[0] : NULL;
        row->seconds = event ? event->seconds : 0;
        if (event && event->verdict == GUARD_ERROR)
            keep_failure(eval, event->error);
        else
            for (int k = 0; k < eval->n_labels; k++) row->score[k] = event && event->fires ? 1 : 0;
        guard_record_release(record);
    }
    return code;
}

static status_code score_batch(struct guard_eval *eval, const struct guard_eval_request *request,
                               struct eval_batch *batch, struct status *st)
{
    status_code code = STATUS_OK;
    if (!batch->n) return STATUS_OK;
    if (request->pipeline) code = score_with_policy(eval, request, batch, st);
    if (code == STATUS_OK) score_with_classifiers(eval, request, batch);
    batch->n = 0;
    arena_reset(&batch->texts);
    return code;
}

static status_code copy_text(struct eval_batch *batch, struct text text, struct text *out,
                             struct status *st)
{
    const char *copy = arena_strndup(&batch->texts, text.data, text.length);
    *out = (struct text){copy, text.length};
    return copy ? STATUS_OK : status_no_memory(st, "the texts to classify");
}

static status_code make_room(struct guard_eval *eval, struct status *st)
{
    if (eval->n < eval->room) return STATUS_OK;
    size_t room = eval->room ? eval->room * 2 : 1024;
    size_t each = (size_t)eval->n_others * (size_t)eval->n_labels;
    struct eval_row *rows = realloc(eval->rows, room * sizeof *rows);
    if (rows) eval->rows = rows;
    double *others = rows && each ? realloc(eval->others, room * each * sizeof *others) : NULL;
    if (others) eval->others = others;
    if (!rows || (each && !others)) return status_no_memory(st, "scores");
    eval->room = room;
    return STATUS_OK;
}

/* A row without a text has no score either. */
static void add_empty_row(struct guard_eval *eval, const struct eval_row *row)
{
    for (int i = 0; i < eval->n_others * eval->n_labels; i++)
        others_of(eval, eval->n)[i] = (double)NAN;
    eval->rows[eval->n++] = *row;
    keep_failure(eval, "a row has no text");
}

static status_code read_row(struct guard_eval *eval, const struct guard_eval_request *request,
                            const struct labelled_text *rows, struct eval_batch *batch,
                            struct status *st)
{
    struct classifier_item *item = &batch->items[batch->n];
    struct labelled_cell text, prompt = {.text = {"", 0}}, cell;
    struct eval_row row = {.group = NO_GROUP};
    status_code code = labelled_text_cell(rows, request->text_column, &text, st);
    if (code == STATUS_OK && request->prompt_column)
        code = labelled_text_cell(rows, request->prompt_column, &prompt, st);
    for (int i = 0; i < eval->n_labels && code == STATUS_OK; i++) {
        code = read_target(rows, eval->labels[i].column, request->positive, &row.target[i], st);
        row.score[i] = (double)NAN;
    }
    if (code == STATUS_OK && request->group_column) {
        code = labelled_text_cell(rows, request->group_column, &cell, st);
        if (code == STATUS_OK && cell.kind == CELL_TEXT)
            code = find_group(eval, cell.text, &row.group, st);
    }
    if (code == STATUS_OK && eval->n_words) code = find_words(eval, text.text, &row, st);
    if (code == STATUS_OK) code = copy_text(batch, text.text, &item->text, st);
    if (code == STATUS_OK) code = copy_text(batch, prompt.text, &item->prompt, st);
    if (code == STATUS_OK) code = make_room(eval, st);
    if (code != STATUS_OK) return code;
    row.is_dev = in_dev_split(text.text, request->dev_share);
    if (text.kind == CELL_ABSENT) {
        code = score_batch(eval, request, batch, st);
        if (code == STATUS_OK) add_empty_row(eval, &row);
        return code;
    }
    eval->rows[eval->n++] = row;
    batch->n++;
    bool is_full = batch->n == EVAL_BATCH_ROWS || batch->texts.used > LIMIT_PROMPT_BYTES;
    return is_full ? score_batch(eval, request, batch, st) : STATUS_OK;
}

static status_code read_all(struct guard_eval *eval, const struct guard_eval_request *request,
                            struct labelled_text *rows, struct eval_batch *batch, struct status *st)
{
    bool more;
    for (bool first = true;; first = false) {
        status_code code = labelled_text_next(rows, &more, st);
        if (code != STATUS_OK) return code;
        if (!more) return score_batch(eval, request, batch, st);
        if (first && !request->labels) code = find_labels(eval, request, rows, st);
        if (code == STATUS_OK) code = check_labels(eval, request, st);
        if (code != STATUS_OK) return code;
        if (eval->n == LIMIT_DATASET_ROWS)
            return status_set(st, STATUS_LIMIT, "%s: more than %u rows", request->data,
                              LIMIT_DATASET_ROWS);
        code = read_row(eval, request, rows, batch, st);
        if (code != STATUS_OK) return labelled_text_prefix(rows, st);
    }
}

static status_code read_in_batches(struct guard_eval *eval,
                                   const struct guard_eval_request *request,
                                   struct labelled_text *rows, struct status *st)
{
    struct eval_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return status_no_memory(st, "the texts to classify");
    arena_init(&batch->texts, 4 * (size_t)LIMIT_PROMPT_BYTES);
    status_code code = read_all(eval, request, rows, batch, st);
    arena_release(&batch->texts);
    free(batch);
    return code;
}

static status_code run(struct guard_eval *eval, const struct guard_eval_request *request,
                       struct status *st)
{
    struct labelled_text *rows;
    status_code code = STATUS_OK;
    if (request->labels) code = read_labels(eval, request->labels, st);
    if (code == STATUS_OK && request->group_words)
        code = read_words(eval, request->group_words, st);
    if (code == STATUS_OK) code = labelled_text_open(&rows, request->data, true, st);
    if (code != STATUS_OK) return code;
    code = read_in_batches(eval, request, rows, st);
    memcpy(eval->sha256, labelled_text_sha256(rows), SHA256_HEX_SIZE);
    labelled_text_free(rows);
    if (code == STATUS_OK && !eval->n)
        return status_set(st, STATUS_BAD_INPUT, "%s: no rows", request->data);
    return code;
}

status_code guard_eval_run(struct guard_eval **out, const struct guard_eval_request *request,
                           struct status *st)
{
    BUG_IF(!request->classifier == !request->pipeline);
    struct guard_eval *eval = calloc(1, sizeof *eval);
    *out = NULL;
    if (!eval) return status_no_memory(st, "an evaluation");
    arena_init(&eval->names, LIMIT_CONFIG_BYTES);
    eval->n_others = request->n_others;
    status_code code = run(eval, request, st);
    if (code == STATUS_OK)
        *out = eval;
    else
        guard_eval_free(eval);
    return code;
}

void guard_eval_free(struct guard_eval *eval)
{
    if (!eval) return;
    arena_release(&eval->names);
    free(eval->rows);
    free(eval->others);
    free(eval);
}

size_t guard_eval_n_rows(const struct guard_eval *eval)
{
    return eval->n;
}

size_t guard_eval_n_failed(const struct guard_eval *eval)
{
    return eval->n_failed;
}

const char *guard_eval_failure(const struct guard_eval *eval)
{
    return eval->failure;
}

const char *guard_eval_sha256(const struct guard_eval *eval)
{
    return eval->sha256;
}

int guard_eval_n_labels(const struct guard_eval *eval)
{
    return eval->n_labels;
}

int guard_eval_n_groups(const struct guard_eval *eval)
{
    return eval->n_groups + eval->n_words;
}

double guard_eval_latency(const struct guard_eval *eval, double share)
{
    double *seconds = malloc(eval->n * sizeof *seconds);
    for (size_t i = 0; seconds && i < eval->n; i++) seconds[i] = eval->rows[i].seconds;
    double value = seconds ? rank_quantile(seconds, eval->n, share) : (double)NAN;
    free(seconds);
    return value;
}

/* ---- figures ---- */

/* The rows that have both a score and a label, side by side. */
struct pairs {
    double *scores, *targets; /* (n) */
    bool *positive;
    size_t n;
};

static status_code pairs_init(struct pairs *pairs, size_t room, struct status *st)
{
    *pairs = (struct pairs){.scores = calloc(room, sizeof(double)),
                            .targets = calloc(room, sizeof(double)),
                            .positive = calloc(room, sizeof(bool))};
    if (pairs->scores && pairs->targets && pairs->positive) return STATUS_OK;
    return status_no_memory(st, "the figures of an evaluation");
}

static void pairs_release(struct pairs *pairs)
{
    free(pairs->scores);
    free(pairs->targets);
    free(pairs->positive);
}

static void pairs_add(struct pairs *pairs, const struct eval_row *row, int label)
{
    if (isnan(row->score[label]) || isnan(row->target[label])) return;
    pairs->scores[pairs->n] = row->score[label];
    pairs->targets[pairs->n] = row->target[label];
    pairs->positive[pairs->n++] = row->target[label] >= 0.5;
}

static size_t count_positive(const struct pairs *pairs)
{
    size_t n = 0;
    for (size_t i = 0; i < pairs->n; i++) n += pairs->positive[i];
    return n;
}

static const char *label_name(const struct guard_eval *eval, int label)
{
    int category = eval->labels[label].category;
    return category == ANY ? "any" : hazard_get((enum hazard_category)category)->name;
}

static void fill_figures(const struct pairs *all, const struct pairs *dev, const struct pairs *rest,
                         struct guard_figures *out)
{
    struct rank_best best = rank_best_f1(dev->scores, dev->positive, dev->n);
    out->n = all->n;
    out->n_positive = count_positive(all);
    out->auroc = rank_auroc(all->scores, all->positive, all->n);
    out->auprc = rank_auprc(all->scores, all->positive, all->n);
    out->threshold = best.threshold;
    out->at_threshold = (struct rank_rates){(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    if (!isnan(best.threshold))
        out->at_threshold = rank_at(rest->scores, rest->positive, rest->n, best.threshold);
    out->best_f1 = rank_best_f1(rest->scores, rest->positive, rest->n).f1;
    out->at_half = rank_at(all->scores, all->positive, all->n, 0.5);
    out->fpr_at_80 = rank_fpr_at_tpr(all->scores, all->positive, all->n, 0.8);
    out->fpr_at_95 = rank_fpr_at_tpr(all->scores, all->positive, all->n, 0.95);
    out->ece = rank_ece(all->scores, all->targets, all->n, out->bins);
    out->pearson = rank_pearson(all->scores, all->targets, all->n);
    out->spearman = rank_spearman(all->scores, all->targets, all->n);
}

status_code guard_eval_figures(const struct guard_eval *eval, int label, struct guard_figures *out,
                               struct status *st)
{
    struct pairs part[3] = {{0}}; /* all, dev, rest */
    status_code code = STATUS_OK;
    *out = (struct guard_figures){.label = label_name(eval, label)};
    for (int p = 0; p < 3 && code == STATUS_OK; p++) code = pairs_init(&part[p], eval->n, st);
    for (size_t i = 0; i < eval->n && code == STATUS_OK; i++) {
        pairs_add(&part[0], &eval->rows[i], label);
        pairs_add(&part[eval->rows[i].is_dev ? 1 : 2], &eval->rows[i], label);
    }
    if (code == STATUS_OK) fill_figures(&part[0], &part[1], &part[2], out);
    for (int p = 0; p < 3; p++) pairs_release(&part[p]);
    return code;
}

static bool in_group(const struct guard_eval *eval, const struct eval_row *row, int group)
{
    if (group < eval->n_groups) return row->group == group;
    int w = group - eval->n_groups;
    return row->words[w / 64] >> w % 64 & 1;
}

/* ---- agreement ---- */

static int n_pairs(const struct guard_eval *eval)
{
    return eval->n_others * (eval->n_others + 1) / 2;
}

int guard_eval_n_agreements(const struct guard_eval *eval)
{
    return n_pairs(eval) * eval->n_labels;
}

/* The score of classifier k, 0 the one under evaluation. */
static double score_of(const struct guard_eval *eval, size_t row, int k, int label)
{
    return k ? others_of(eval, row)[(k - 1) * eval->n_labels + label]
             : eval->rows[row].score[label];
}

status_code guard_eval_agreement(const struct guard_eval *eval, int index,
                                 struct guard_agreement *out, struct status *st)
{
    int label = index / n_pairs(eval), rest = index % n_pairs(eval), first = 0;
    struct pairs pairs;
    size_t n_same = 0;
    for (; rest >= eval->n_others - first; first++) rest -= eval->n_others - first;
    int second = first + 1 + rest;
    status_code code = pairs_init(&pairs, eval->n, st);
    for (size_t i = 0; i < eval->n && code == STATUS_OK; i++) {
        double a = score_of(eval, i, first, label), b = score_of(eval, i, second, label);
        if (isnan(a) || isnan(b)) continue;
        pairs.scores[pairs.n] = a;
        pairs.targets[pairs.n] = b;
        pairs.positive[pairs.n++] = b >= 0.5;
        n_same += (a >= 0.5) == (b >= 0.5);
    }
    *out = (struct guard_agreement){
        .label = label_name(eval, label), .first = first, .second = second, .n = pairs.n};
    if (code == STATUS_OK) {
        out->pearson = rank_pearson(pairs.scores, pairs.targets, pairs.n);
        out->spearman = rank_spearman(pairs.scores, pairs.targets, pairs.n);
        out->auroc = rank_auroc(pairs.scores, pairs.positive, pairs.n);
        out->same = pairs.n ? (double)n_same / (double)pairs.n : (double)NAN;
    }
    pairs_release(&pairs);
    return code;
}

/* ---- groups ---- */

status_code guard_eval_group(const struct guard_eval *eval, int label, int group,
                             struct guard_group *out, struct status *st)
{
    struct pairs part[3] = {{0}}; /* within; BPSN; BNSP */
    status_code code = STATUS_OK;
    for (int p = 0; p < 3 && code == STATUS_OK; p++) code = pairs_init(&part[p], eval->n, st);
    for (size_t i = 0; i < eval->n && code == STATUS_OK; i++) {
        const struct eval_row *row = &eval->rows[i];
        bool inside = in_group(eval, row, group), positive = row->target[label] >= 0.5;
        if (inside) pairs_add(&part[0], row, label);
        if (inside != positive) pairs_add(&part[1], row, label);
        if (inside == positive) pairs_add(&part[2], row, label);
    }
    *out = (struct guard_group){
        .name = group < eval->n_groups ? eval->groups[group] : eval->words[group - eval->n_groups]};
    if (code == STATUS_OK) {
        out->n = part[0].n;
        out->n_positive = count_positive(&part[0]);
        out->auroc = rank_auroc(part[0].scores, part[0].positive, part[0].n);
        out->bpsn_auroc = rank_auroc(part[1].scores, part[1].positive, part[1].n);
        out->bnsp_auroc = rank_auroc(part[2].scores, part[2].positive, part[2].n);
        struct rank_rates at = rank_at(part[0].scores, part[0].positive, part[0].n, 0.5);
        out->false_positive_rate = at.false_positive_rate;
        out->true_positive_rate = at.recall;
    }
    for (int p = 0; p < 3; p++) pairs_release(&part[p]);
    return code;
}
