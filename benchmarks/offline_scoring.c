#include "benchmarks/offline_scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/file_reader.h"
#include "datasets/jsonl_reader.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define LINE_BYTES    (8 * (size_t)LIMIT_PROMPT_BYTES) /* a prompt, escaped */
#define SCRATCH_BYTES (8 * (size_t)LIMIT_PROMPT_BYTES)

static status_code write_line(const struct line_sink *sink, struct strbuf *line, struct status *st)
{
    strbuf_append_char(line, '\n');
    status_code code = strbuf_check(line, "output line", st);
    if (code == STATUS_OK)
        code = sink->write(sink->user, (struct text){line->data, line->length}, st);
    strbuf_clear(line);
    return code;
}

/* ---- prompts ---- */

static void append_texts(struct strbuf *out, const char *key, const struct text *texts, int n)
{
    strbuf_appendf(out, ", \"%s\": ", key);
    for (int i = 0; i < n; i++) {
        strbuf_append_str(out, i ? ", " : "[");
        json_append_text(out, texts[i]);
    }
    strbuf_append_str(out, n ? "]" : "null");
}

static void append_prompt(struct strbuf *out, const char *task, const struct task_request *request)
{
    strbuf_append_str(out, "{\"task\": ");
    json_append_str(out, task);
    strbuf_appendf(out, ", \"doc_id\": %lld, \"context\": ", (long long)request->doc_id);
    json_append_text(out, request->context);
    append_texts(out, "continuations", request->continuations, request->n_continuations);
    append_texts(out, "until", request->until, request->n_until);
    strbuf_append_str(out, ", \"target\": ");
    json_append_text(out, request->target);
    strbuf_appendf(out, ", \"doc_hash\": \"%s\", \"prompt_hash\": \"%s\"}", request->doc_hash,
                   request->prompt_hash);
}

static status_code print_documents(const struct task_instance *instance,
                                   const struct document_range *range, const struct line_sink *sink,
                                   struct status *st)
{
    const struct task_info *info = task_instance_info(instance);
    int64_t end = info->n_documents;
    if (range->limit >= 0 && range->offset < end && range->limit < end - range->offset)
        end = range->offset + range->limit;
    struct arena arena;
    struct strbuf line;
    arena_init(&arena, SCRATCH_BYTES);
    strbuf_init(&line, LINE_BYTES);
    status_code code = STATUS_OK;
    for (int64_t doc = range->offset; doc < end && code == STATUS_OK; doc++) {
        struct task_request request;
        code = task_instance_render(instance, doc, &arena, &request, st);
        if (code != STATUS_OK) break;
        append_prompt(&line, info->ref->name, &request);
        code = write_line(sink, &line, st);
        arena_reset(&arena);
    }
    strbuf_release(&line);
    arena_release(&arena);
    return code;
}

status_code offline_prompts(const struct task_selection *selection,
                            const struct task_options *options, const struct document_range *range,
                            const struct line_sink *sink, struct status *st)
{
    if (range->offset < 0) return status_set(st, STATUS_USAGE, "--offset: expected 0 or more");
    status_code code = STATUS_OK;
    for (int i = 0; i < selection->count && code == STATUS_OK; i++) {
        struct task_instance *instance;
        code = task_instance_load(&instance, &selection->refs[i], options, st);
        if (code != STATUS_OK) break;
        code = print_documents(instance, range, sink, st);
        task_instance_free(instance);
    }
    return code;
}

/* ---- replies ---- */

/* What the replies to one task add up to. */
struct task_tally {
    struct task_instance *instance;
    int32_t *n_replies; /* (n_documents) */
    double *sums;       /* (SCORE_MAX_VALUES, n_documents) over a document's repeats */
};

/* One value that a task reports: lm-eval's key is "metric,extraction". */
struct metric_key {
    const char *metric, *extraction;
};

/* The keys of a task, at most SCORE_MAX_VALUES: every metric under every extraction. */
static int task_keys(const struct task *task, struct metric_key keys[SCORE_MAX_VALUES])
{
    int n = 0;
    for (int m = 0; m < TASK_MAX_METRICS && task->metrics[m].name; m++) {
        const char *metric = task->metrics[m].name;
        int e = 0;
        for (; e < TASK_MAX_EXTRACTIONS && task->extractions[e].name; e++) {
            BUG_IF(n == SCORE_MAX_VALUES);
            keys[n++] = (struct metric_key){metric, task->extractions[e].name};
        }
        BUG_IF(n == SCORE_MAX_VALUES);
        if (!e) keys[n++] = (struct metric_key){metric, "none"};
    }
    return n;
}

struct scoring {
    struct task_tally *tallies; /* (n_tallies) */
    int n_tallies;
    struct metric_key keys[SCORE_MAX_VALUES]; /* of all tasks, each once */
    int n_keys;
    bool apply_stops;
};

static void scoring_release(struct scoring *scoring)
{
    for (int i = 0; i < scoring->n_tallies; i++) {
        task_instance_free(scoring->tallies[i].instance);
        free(scoring->tallies[i].n_replies);
        free(scoring->tallies[i].sums);
    }
    free(scoring->tallies);
}

static int key_index(const struct scoring *scoring, const char *metric, const char *extraction)
{
    int i = 0;
    while (i < scoring->n_keys && (strcmp(scoring->keys[i].metric, metric) != 0 ||
                                   strcmp(scoring->keys[i].extraction, extraction) != 0))
        i++;
    return i;
}

static status_code add_keys(struct scoring *scoring, const struct task *task, struct status *st)
{
    struct metric_key keys[SCORE_MAX_VALUES];
    int n = task_keys(task, keys);
    for (int i = 0; i < n; i++) {
        if (key_index(scoring, keys[i].metric, keys[i].extraction) < scoring->n_keys) continue;
        if (scoring->n_keys == SCORE_MAX_VALUES)
            return status_set(st, STATUS_LIMIT, "the tasks have more than %d metrics together",
                              SCORE_MAX_VALUES);
        scoring->keys[scoring->n_keys++] = keys[i];
    }
    return STATUS_OK;
}

static status_code scoring_init(struct scoring *scoring, const struct task_selection *selection,
                                const struct offline_score_options *options, struct status *st)
{
    *scoring = (struct scoring){.apply_stops = options->apply_stops};
    scoring->tallies = calloc((size_t)selection->count + 1, sizeof *scoring->tallies);
    if (!scoring->tallies) return status_no_memory(st, "scores");
    /* Shots play no part in scoring, so their files need not be there. */
    const struct task_options task_options = {.num_fewshot = 0, .lookup = options->lookup};
    for (int i = 0; i < selection->count; i++) {
        struct task_tally *tally = &scoring->tallies[i];
        status_code code =
            task_instance_load(&tally->instance, &selection->refs[i], &task_options, st);
        if (code != STATUS_OK) return code;
        scoring->n_tallies++;
        code = add_keys(scoring, selection->refs[i].task, st);
        if (code != STATUS_OK) return code;
        size_t n = (size_t)task_instance_info(tally->instance)->n_documents;
        tally->n_replies = calloc(n, sizeof *tally->n_replies);
        tally->sums = calloc(n * SCORE_MAX_VALUES, sizeof *tally->sums);
        if (!tally->n_replies || !tally->sums) return status_no_memory(st, "scores");
    }
    return STATUS_OK;
}

/* The task that a line names, or the only one there is. */
static status_code find_tally(const struct scoring *scoring, const struct json_value *line,
                              struct task_tally **out, struct status *st)
{
    struct text name;
    if (scoring->n_tallies == 1 && !json_has(line, "task")) {
        *out = &scoring->tallies[0];
        return STATUS_OK;
    }
    status_code code = json_get_text(line, "task", &name, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < scoring->n_tallies; i++) {
        *out = &scoring->tallies[i];
        if (text_equal(name, text_of(task_instance_info((*out)->instance)->ref->name)))
            return STATUS_OK;
    }
    return status_set(st, STATUS_BAD_INPUT, "field \"task\" is \"%.*s\", which is not being scored",
                      (int)(name.length > 80 ? 80 : name.length), name.data);
}

static status_code read_reply(const struct json_value *line, struct reply *out, struct status *st)
{
    struct text reason;
    *out = (struct reply){0};
    status_code code = json_get_text(line, "reply", &out->text, st);
    if (code != STATUS_OK || !json_has(line, "finish_reason")) return code;
    code = json_get_text(line, "finish_reason", &reason, st);
    if (code == STATUS_OK) out->truncated = text_equal(reason, text_of("length"));
    return code;
}

static struct text cut_at_stops(const struct task *task, struct text reply)
{
    struct text until[TASK_MAX_UNTIL];
    int n = 0;
    while (n < TASK_MAX_UNTIL && task->until[n]) {
        until[n] = text_of(task->until[n]);
        n++;
    }
    return apply_stops(reply, until, n);
}

/* ---- scores ---- */

static void append_key(struct strbuf *out, const char *metric, const char *extraction)
{
    strbuf_appendf(out, "\"%s,%s\": ", metric, extraction);
}

static void append_score(struct strbuf *out, const char *task, int64_t doc_id, int32_t repeat,
                         const struct score *score)
{
    strbuf_append_str(out, "{\"task\": ");
    json_append_str(out, task);
    strbuf_appendf(out, ", \"doc_id\": %lld, \"repeat\": %d, \"extracted\": {", (long long)doc_id,
                   (int)repeat);
    for (int i = 0, n = 0; i < score->n_values; i++) {
        const struct metric_value *value = &score->values[i];
        if (!value->extracted.data) continue;
        strbuf_append_str(out, n++ ? ", " : "");
        json_append_str(out, value->extraction);
        strbuf_append_str(out, ": ");
        json_append_text(out, value->extracted);
    }
    strbuf_append_str(out, "}, \"metrics\": {");
    for (int i = 0; i < score->n_values; i++) {
        strbuf_append_str(out, i ? ", " : "");
        append_key(out, score->values[i].metric, score->values[i].extraction);
        json_append_number(out, score->values[i].value);
    }
    strbuf_appendf(out, "}, \"outcome\": \"%s\"}", outcome_name(score->outcome));
}

static status_code score_line(struct scoring *scoring, const struct json_value *object,
                              struct arena *arena, struct strbuf *line, struct status *st)
{
    struct task_tally *tally = NULL;
    struct reply reply;
    struct score score;
    int64_t doc_id;
    status_code code = find_tally(scoring, object, &tally, st);
    if (code != STATUS_OK) return code;
    const struct task_info *info = task_instance_info(tally->instance);
    code = json_get_int(object, "doc_id", 0, info->n_documents - 1, &doc_id, st);
    if (code != STATUS_OK) return code;
    code = read_reply(object, &reply, st);
    if (code != STATUS_OK) return code;
    if (scoring->apply_stops) reply.text = cut_at_stops(info->ref->task, reply.text);
    code = task_instance_score_reply(tally->instance, doc_id, &reply, arena, &score, st);
    if (code != STATUS_OK) return code;
    if (tally->n_replies[doc_id] == INT32_MAX)
        return status_set(st, STATUS_LIMIT, "too many replies to one document");
    for (int i = 0; i < score.n_values; i++) {
        int column = key_index(scoring, score.values[i].metric, score.values[i].extraction);
        BUG_IF(column == scoring->n_keys);
        tally->sums[column * info->n_documents + doc_id] += score.values[i].value;
    }
    append_score(line, info->ref->name, doc_id, tally->n_replies[doc_id]++, &score);
    return STATUS_OK;
}

static status_code score_lines(struct scoring *scoring, struct jsonl_reader *reader,
                               const struct line_sink *sink, struct status *st)
{
    struct arena arena;
    struct strbuf line;
    struct json_value *object;
    arena_init(&arena, SCRATCH_BYTES);
    strbuf_init(&line, LINE_BYTES);
    status_code code;
    while ((code = jsonl_reader_next(reader, &object, st)) == STATUS_OK && object) {
        code = score_line(scoring, object, &arena, &line, st);
        if (code != STATUS_OK) jsonl_reader_prefix(reader, st);
        if (code == STATUS_OK) code = write_line(sink, &line, st);
        json_free(object);
        arena_reset(&arena);
        if (code != STATUS_OK) break;
    }
    strbuf_release(&line);
    arena_release(&arena);
    return code;
}

/* ---- summary ---- */

static double document_mean(const struct task_tally *tally, int column, int64_t doc)
{
    int64_t n = task_instance_info(tally->instance)->n_documents;
    return tally->sums[column * n + doc] / tally->n_replies[doc];
}

/* The documents of a task that have a reply, the sum of their means, and the sum of the squared
 * distances from the task's own mean. */
struct task_moments {
    int64_t n;
    double sum, squares;
};

static bool has_key(const struct task_tally *tally, const struct metric_key *key)
{
    struct metric_key keys[SCORE_MAX_VALUES];
    int n = task_keys(task_instance_info(tally->instance)->ref->task, keys);
    for (int i = 0; i < n; i++)
        if (!strcmp(keys[i].metric, key->metric) && !strcmp(keys[i].extraction, key->extraction))
            return true;
    return false;
}

static struct task_moments task_moments(const struct task_tally *tally, int column)
{
    struct task_moments moments = {0};
    int64_t n_documents = task_instance_info(tally->instance)->n_documents;
    for (int64_t doc = 0; doc < n_documents; doc++) {
        if (!tally->n_replies[doc]) continue;
        moments.n++;
        moments.sum += document_mean(tally, column, doc);
    }
    for (int64_t doc = 0; doc < n_documents; doc++) {
        if (!tally->n_replies[doc]) continue;
        double distance = document_mean(tally, column, doc) - moments.sum / (double)moments.n;
        moments.squares += distance * distance;
    }
    return moments;
}

/* lm-eval's group standard error, sqrt(sum((n_i - 1) * se_i**2 * n_i) / (N - k) / N) over k tasks;
 * with one task it is the standard error of its mean. */
static void append_metric(struct strbuf *out, const struct scoring *scoring, int column)
{
    int64_t n = 0, n_missing = 0, n_tasks = 0;
    double sum = 0, squares = 0;
    for (int i = 0; i < scoring->n_tallies; i++) {
        if (!has_key(&scoring->tallies[i], &scoring->keys[column])) continue;
        struct task_moments moments = task_moments(&scoring->tallies[i], column);
        n += moments.n;
        n_tasks += moments.n > 0;
        n_missing += task_instance_info(scoring->tallies[i].instance)->n_documents - moments.n;
        sum += moments.sum;
        squares += moments.squares;
    }
    double degrees = (double)(n - n_tasks);
    append_key(out, scoring->keys[column].metric, scoring->keys[column].extraction);
    strbuf_append_str(out, "{\"value\": ");
    json_append_number(out, sum / (double)n);
    strbuf_append_str(out, ", \"stderr\": ");
    json_append_number(out, n > n_tasks ? sqrt(squares / degrees / (double)n) : (double)NAN);
    strbuf_appendf(out, ", \"n\": %lld, \"n_missing\": %lld}", (long long)n, (long long)n_missing);
}

status_code offline_score(const struct task_selection *selection, const char *replies_path,
                          const struct offline_score_options *options, const struct line_sink *sink,
                          struct strbuf *summary, struct status *st)
{
    struct scoring scoring;
    struct strbuf bytes;
    struct file_digests digests;
    strbuf_init(&bytes, LIMIT_REPORT_BYTES);
    status_code code = scoring_init(&scoring, selection, options, st);
    if (code == STATUS_OK) code = file_read(&bytes, &digests, replies_path, st);
    if (code == STATUS_OK) {
        struct jsonl_reader reader =
            jsonl_reader_start(replies_path, (struct text){bytes.data, bytes.length});
        code = score_lines(&scoring, &reader, sink, st);
    }
    if (code == STATUS_OK) {
        strbuf_append_str(summary, "{\"metrics\": {");
        for (int i = 0; i < scoring.n_keys; i++) {
            strbuf_append_str(summary, i ? ", " : "");
            append_metric(summary, &scoring, i);
        }
        strbuf_append_str(summary, "}}\n");
        code = strbuf_check(summary, "summary", st);
    }
    strbuf_release(&bytes);
    scoring_release(&scoring);
    return code;
}
