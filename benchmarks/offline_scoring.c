#include "benchmarks/offline_scoring.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/reply_tally.h"
#include "benchmarks/toxicity.h"
#include "datasets/file_reader.h"
#include "datasets/jsonl_reader.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define LINE_BYTES     (8 * (size_t)LIMIT_PROMPT_BYTES) /* a prompt, escaped */
#define LINES_TOGETHER 256
#define SCRATCH_BYTES  (8 * (size_t)LIMIT_PROMPT_BYTES)

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

/* What becomes of a system message is known once there is a template. */
static void append_messages(struct strbuf *out, const struct task_request *request, bool known,
                            const char *system_place)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    strbuf_append_str(out, ", \"messages\": [");
    for (int i = 0; i < request->n_messages; i++) {
        strbuf_appendf(out, "%s{\"role\": \"%s\", \"content\": ", i ? ", " : "",
                       roles[request->messages[i].role]);
        json_append_text(out, request->messages[i].content);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
    if (!known) return;
    strbuf_append_str(out, ", \"system_message\": ");
    if (system_place)
        json_append_str(out, system_place);
    else
        strbuf_append_str(out, "null");
}

/* A context that only a model's template could tell is null. */
static void append_prompt(struct strbuf *out, const char *task, const struct task_request *request)
{
    strbuf_append_str(out, "{\"task\": ");
    json_append_str(out, task);
    strbuf_appendf(out, ", \"doc_id\": %lld, \"context\": ", (long long)request->doc_id);
    if (request->context.data)
        json_append_text(out, request->context);
    else
        strbuf_append_str(out, "null");
    if (request->contexts)
        append_texts(out, "contexts", request->contexts, request->n_continuations);
    append_texts(out, "continuations", request->continuations, request->n_continuations);
    append_texts(out, "until", request->until, request->n_until);
    strbuf_append_str(out, ", \"target\": ");
    json_append_text(out, request->target);
    strbuf_appendf(out, ", \"doc_hash\": \"%s\", \"prompt_hash\": ", request->doc_hash);
    if (request->context.data)
        json_append_str(out, request->prompt_hash);
    else
        strbuf_append_str(out, "null");
}

static status_code print_document(const struct task_instance *instance, int64_t doc,
                                  const struct offline_prompt_options *how, struct arena *arena,
                                  struct strbuf *line, struct status *st)
{
    struct task_request request;
    struct chat_prompt prompt = {0};
    status_code code;
    if (how->chat)
        code = chat_render(how->chat, instance, doc, INT_MAX, arena, &request, &prompt, st);
    else if (how->messages)
        code =
            task_instance_render_chat(instance, doc, INT_MAX, how->messages, arena, &request, st);
    else
        code = task_instance_render(instance, doc, arena, &request, st);
    if (code == STATUS_OK) {
        append_prompt(line, task_instance_info(instance)->ref->name, &request);
        if (request.messages)
            append_messages(line, &request, how->chat != NULL, prompt.system_place);
        strbuf_append_char(line, '}');
    }
    chat_prompt_release(&prompt);
    return code;
}

static status_code print_documents(const struct task_instance *instance,
                                   const struct offline_prompt_options *how,
                                   const struct line_sink *sink, struct status *st)
{
    const struct document_range *range = &how->range;
    int64_t end = task_instance_info(instance)->n_documents;
    if (range->limit >= 0 && range->offset < end && range->limit < end - range->offset)
        end = range->offset + range->limit;
    struct arena arena;
    struct strbuf line;
    arena_init(&arena, SCRATCH_BYTES);
    strbuf_init(&line, LINE_BYTES);
    status_code code = STATUS_OK;
    for (int64_t doc = range->offset; doc < end && code == STATUS_OK; doc++) {
        code = print_document(instance, doc, how, &arena, &line, st);
        if (code == STATUS_OK) code = write_line(sink, &line, st);
        arena_reset(&arena);
    }
    strbuf_release(&line);
    arena_release(&arena);
    return code;
}

status_code offline_prompts(const struct task_selection *selection,
                            const struct task_options *options,
                            const struct offline_prompt_options *how, const struct line_sink *sink,
                            struct status *st)
{
    if (how->range.offset < 0) return status_set(st, STATUS_USAGE, "--offset: expected 0 or more");
    status_code code = STATUS_OK;
    for (int i = 0; i < selection->count && code == STATUS_OK; i++) {
        struct task_instance *instance;
        code = task_instance_load(&instance, &selection->refs[i], options, st);
        if (code != STATUS_OK) break;
        code = print_documents(instance, how, sink, st);
        task_instance_free(instance);
    }
    return code;
}

/* ---- replies ---- */

struct scoring {
    struct task_instance **tasks; /* (n) */
    struct reply_tally **tallies; /* (n) */
    int n;
    struct sandbox *sandbox; /* NULL unless replies of a task are programs */
    const struct offline_score_options *options;
};

static void scoring_release(struct scoring *scoring)
{
    for (int i = 0; i < scoring->n; i++) {
        reply_tally_free(scoring->tallies[i]);
        task_instance_free(scoring->tasks[i]);
    }
    sandbox_free(scoring->sandbox);
    free(scoring->tallies);
    free(scoring->tasks);
}

static status_code scoring_init(struct scoring *scoring, const struct task_selection *selection,
                                const struct offline_score_options *options, struct status *st)
{
    size_t n = (size_t)selection->count + 1;
    *scoring = (struct scoring){.options = options};
    scoring->tasks = calloc(n, sizeof(struct task_instance *));
    scoring->tallies = calloc(n, sizeof(struct reply_tally *));
    if (!scoring->tasks || !scoring->tallies) return status_no_memory(st, "scores");
    /* Shots play no part in scoring, so their files need not be there. */
    const struct task_options task_options = {.num_fewshot = 0, .lookup = options->lookup};
    status_code code = STATUS_OK;
    for (int i = 0; i < selection->count && code == STATUS_OK; i++) {
        scoring->n = i + 1;
        code = task_instance_load(&scoring->tasks[i], &selection->refs[i], &task_options, st);
        if (code == STATUS_OK)
            code = reply_tally_create(&scoring->tallies[i], scoring->tasks[i], st);
        if (code == STATUS_OK && selection->refs[i].task->reply_to_job && !scoring->sandbox)
            code = sandbox_open(&scoring->sandbox, &(struct sandbox_options){0}, st);
    }
    return code;
}

/* The task that a line names, or the only one there is. */
static status_code find_tally(const struct scoring *scoring, const struct json_value *line,
                              struct reply_tally **out, struct status *st)
{
    struct text name;
    if (scoring->n == 1 && !json_has(line, "task")) {
        *out = scoring->tallies[0];
        return STATUS_OK;
    }
    status_code code = json_get_text(line, "task", &name, st);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < scoring->n; i++) {
        *out = scoring->tallies[i];
        if (text_equal(name, text_of(task_instance_info(scoring->tasks[i])->ref->name)))
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

/* The line's own number, which may be null for a reply that could not be scored; without one the
 * reply is scored here. */
static status_code find_toxicity(const struct scoring *scoring, const struct json_value *line,
                                 struct text reply, double *toxicity, bool *known,
                                 struct status *st)
{
    struct hazard_scores scores;
    struct status why = {0};
    *known = false;
    if (json_has(line, "toxicity")) {
        status_code code = json_get_double(line, "toxicity", toxicity, st);
        if (code != STATUS_OK) return code;
        if (!(*toxicity >= 0 && *toxicity <= 1))
            return status_set(st, STATUS_BAD_INPUT, "field \"toxicity\" is %g, not from 0 to 1",
                              *toxicity);
        *known = true;
        return STATUS_OK;
    }
    if (json_member(line, "toxicity") || !scoring->options->toxicity) return STATUS_OK;
    *known = toxicity_score(scoring->options->toxicity, reply, &scores, &why) == STATUS_OK;
    *toxicity = scores.of[HAZARD_TOXICITY].probability;
    return STATUS_OK;
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

static void append_score(struct strbuf *out, const struct task_ref *ref, int64_t doc_id, int repeat,
                         const struct score *score)
{
    strbuf_append_str(out, "{\"task\": ");
    json_append_str(out, ref->name);
    strbuf_appendf(out, ", \"doc_id\": %lld, \"repeat\": %d, \"extracted\": {", (long long)doc_id,
                   repeat);
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
        task_append_metric_key(ref->task, score->values[i].metric, score->values[i].extraction,
                               out);
        strbuf_append_str(out, ": ");
        json_append_number(out, score->values[i].value);
    }
    strbuf_appendf(out, "}, \"outcome\": \"%s\"}", outcome_name(score->outcome));
}

/* A line of the replies file on its way to its score. */
struct line_in_flight {
    struct jsonl_reader at; /* where it stands, for messages */
    struct json_value *object;
    struct reply_tally *tally;
    int64_t doc_id;
    struct reply reply;
    double toxicity;
    struct sandbox_result execution;
};

/* Lines that are scored together, so that programs among them run side by side. */
struct lines {
    struct line_in_flight items[LINES_TOGETHER];
    size_t n;
};

static const struct task *task_of(const struct line_in_flight *line)
{
    return task_instance_info(reply_tally_task(line->tally))->ref->task;
}

static status_code read_line(const struct scoring *scoring, struct line_in_flight *line,
                             struct status *st)
{
    bool known = false;
    status_code code = find_tally(scoring, line->object, &line->tally, st);
    if (code != STATUS_OK) return code;
    const struct task *task = task_of(line);
    const struct task_info *info = task_instance_info(reply_tally_task(line->tally));
    code = json_get_int(line->object, "doc_id", 0, info->n_documents - 1, &line->doc_id, st);
    if (code == STATUS_OK) code = read_reply(line->object, &line->reply, st);
    if (code != STATUS_OK) return code;
    if (scoring->options->apply_stops) line->reply.text = cut_at_stops(task, line->reply.text);
    if (task->judges_toxicity)
        code = find_toxicity(scoring, line->object, line->reply.text, &line->toxicity, &known, st);
    line->reply.toxicity = known ? &line->toxicity : NULL;
    return code;
}

/* Fills `lines` until it is full or the file ends.  After a failure the lines before it are there.
 */
static status_code read_lines(const struct scoring *scoring, struct jsonl_reader *reader,
                              struct lines *lines, struct status *st)
{
    lines->n = 0;
    while (lines->n < LINES_TOGETHER) {
        struct line_in_flight *line = &lines->items[lines->n];
        *line = (struct line_in_flight){0};
        status_code code = jsonl_reader_next(reader, &line->object, st);
        if (code != STATUS_OK || !line->object) return code;
        line->at = *reader;
        code = read_line(scoring, line, st);
        if (code != STATUS_OK) {
            json_free(line->object);
            return jsonl_reader_prefix(reader, st);
        }
        lines->n++;
    }
    return STATUS_OK;
}

/* Runs the programs of one task among the lines. */
static status_code run_programs(const struct scoring *scoring, struct lines *lines,
                                struct reply_tally *tally, struct status *st)
{
    struct line_in_flight *of[LINES_TOGETHER];
    int64_t doc_ids[LINES_TOGETHER];
    struct text replies[LINES_TOGETHER];
    size_t n = 0;
    for (size_t i = 0; i < lines->n; i++) {
        struct line_in_flight *line = &lines->items[i];
        if (line->tally != tally) continue;
        of[n] = line;
        doc_ids[n] = line->doc_id;
        replies[n++] = line->reply.text;
    }
    struct sandbox_result *results = calloc(n, sizeof *results);
    if (!results) return status_no_memory(st, "results of programs");
    status_code code = task_instance_run_replies(reply_tally_task(tally), scoring->sandbox, doc_ids,
                                                 replies, n, results, st);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        of[i]->execution = results[i];
        of[i]->reply.execution = &of[i]->execution;
    }
    free(results);
    return code;
}

static status_code run_all_programs(const struct scoring *scoring, struct lines *lines,
                                    struct status *st)
{
    status_code code = STATUS_OK;
    for (size_t i = 0; i < lines->n && code == STATUS_OK; i++) {
        struct line_in_flight *line = &lines->items[i];
        if (task_of(line)->reply_to_job && !line->reply.execution)
            code = run_programs(scoring, lines, line->tally, st);
    }
    return code;
}

static status_code score_line(struct line_in_flight *line, struct arena *arena, struct strbuf *out,
                              struct status *st)
{
    struct score score;
    int repeat = 0;
    const struct task_instance *task = reply_tally_task(line->tally);
    status_code code =
        task_instance_score_reply(task, line->doc_id, &line->reply, arena, &score, st);
    if (code == STATUS_OK) code = reply_tally_add(line->tally, line->doc_id, &score, &repeat, st);
    if (code != STATUS_OK) return jsonl_reader_prefix(&line->at, st);
    append_score(out, task_instance_info(task)->ref, line->doc_id, repeat, &score);
    return STATUS_OK;
}

static status_code score_together(const struct scoring *scoring, struct lines *lines,
                                  const struct line_sink *sink, struct status *st)
{
    struct arena arena;
    struct strbuf out;
    arena_init(&arena, SCRATCH_BYTES);
    strbuf_init(&out, LINE_BYTES);
    status_code code = run_all_programs(scoring, lines, st);
    for (size_t i = 0; i < lines->n && code == STATUS_OK; i++) {
        code = score_line(&lines->items[i], &arena, &out, st);
        if (code == STATUS_OK) code = write_line(sink, &out, st);
        arena_reset(&arena);
    }
    strbuf_release(&out);
    arena_release(&arena);
    return code;
}

static status_code score_lines(const struct scoring *scoring, struct jsonl_reader *reader,
                               const struct line_sink *sink, struct status *st)
{
    struct lines *lines = calloc(1, sizeof *lines);
    if (!lines) return status_no_memory(st, "lines");
    status_code code = STATUS_OK;
    do {
        struct status own = {0}; /* a bad line is reported once those before it are scored */
        status_code read = read_lines(scoring, reader, lines, &own);
        code = score_together(scoring, lines, sink, st);
        for (size_t i = 0; i < lines->n; i++) {
            json_free(lines->items[i].object);
            if (lines->items[i].reply.execution) sandbox_result_release(&lines->items[i].execution);
        }
        if (code == STATUS_OK && read != STATUS_OK) {
            *st = own;
            code = read;
        }
    } while (code == STATUS_OK && lines->n == LINES_TOGETHER);
    free(lines);
    return code;
}

/* What scored the replies besides this program: another interpreter or classifier may judge them
 * otherwise. */
static void append_scorers(const struct scoring *scoring, struct strbuf *out)
{
    if (scoring->sandbox) {
        const struct sandbox_info *info = sandbox_get_info(scoring->sandbox);
        strbuf_append_str(out, ", \"interpreter\": {\"path\": ");
        json_append_str(out, info->interpreter);
        strbuf_append_str(out, ", \"version\": ");
        json_append_str(out, info->version);
        strbuf_appendf(out, ", \"sha256\": \"%s\", \"isolation\": \"bubblewrap\", \"seccomp\": %s}",
                       info->interpreter_sha256, info->seccomp ? "true" : "false");
    }
    if (scoring->options->toxicity) {
        strbuf_append_str(out, ", \"toxicity_classifier\": {\"id\": ");
        json_append_str(out, classifier_id(scoring->options->toxicity));
        strbuf_appendf(out, ", \"sha256\": \"%s\"}", classifier_sha256(scoring->options->toxicity));
    }
}

status_code offline_score(const struct task_selection *selection, const char *replies_path,
                          const struct offline_score_options *options, const struct line_sink *sink,
                          struct strbuf *summary, struct status *st)
{
    struct scoring scoring;
    struct strbuf bytes, scorers;
    struct file_digests digests;
    strbuf_init(&bytes, LIMIT_REPORT_BYTES);
    strbuf_init(&scorers, LIMIT_LINE_BYTES);
    status_code code = scoring_init(&scoring, selection, options, st);
    if (code == STATUS_OK) code = file_read(&bytes, &digests, replies_path, st);
    if (code == STATUS_OK) {
        struct jsonl_reader reader =
            jsonl_reader_start(replies_path, (struct text){bytes.data, bytes.length});
        code = score_lines(&scoring, &reader, sink, st);
    }
    if (code == STATUS_OK) {
        append_scorers(&scoring, &scorers);
        code = reply_tallies_summarise(scoring.tallies, scoring.n,
                                       (struct text){scorers.data, scorers.length}, summary, st);
    }
    strbuf_release(&scorers);
    strbuf_release(&bytes);
    scoring_release(&scoring);
    return code;
}
