/* report_llm_comparator.c - two runs in the JSON that LLM Comparator loads (its
 * client/lib/types.ts, commit 60edc1e).  An example's score is from -1.5 to 1.5, above 0 where A is
 * better. */
#include <math.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_json.h"
#include "reports/results_query.h"
#include "reports/sample_reader.h"

#define MOST_SCORE 1.5

/* One of the two runs. */
struct side {
    struct store *store;
    struct store_run run;
    struct store_task *tasks;
    size_t n_tasks;
    struct sample_reader *reader; /* of the task at hand */
    struct sample_record record;
};

/* What the two replies are held against each other by; metric NULL: the first verdicts. */
struct measure {
    const char *metric, *extraction;
    enum metric_direction direction;
};

struct pairing {
    struct arena arena, document; /* of the export, and of the document at hand */
    struct side a, b;
    struct measure measure;
    struct strbuf out;
    int64_t n_examples;
    report_line *write;
    void *user;
};

static status_code open_side(struct pairing *p, struct side *side, struct store *store,
                             const char *run, struct status *st)
{
    side->store = store;
    status_code code = store_load_run(store, run, &p->arena, &side->run, st);
    if (code != STATUS_OK) return code;
    return store_load_tasks(store, run, &p->arena, &side->tasks, &side->n_tasks, st);
}

static status_code flush(struct pairing *p, struct status *st)
{
    status_code code = strbuf_check(&p->out, "an example of the export", st);
    if (code == STATUS_OK) code = p->write(p->user, (struct text){p->out.data, p->out.length}, st);
    strbuf_clear(&p->out);
    return code;
}

/* ---- the head ---- */

static const struct {
    const char *name, *type;
} fields[] = {
    {"doc_id", "string"},
    {"repeat", "number"},
    {"target", "text"},
    {"prompt_b", "text"},
    {"metric", "category"},
    {"value", "per_model_number"},
    {"outcome", "per_model_category"},
    {"extracted", "per_model_text"},
    {"finish_reason", "per_model_category"},
    {"n_tokens", "per_model_number"},
};

static void append_model(struct strbuf *out, const struct store_run *run, bool with_id)
{
    const char *path = run->model_path ? run->model_path : run->id;
    struct strbuf name;
    strbuf_init(&name, LIMIT_CONFIG_BYTES);
    strbuf_append_str(&name, path);
    if (run->adapter) strbuf_appendf(&name, " + %s", run->adapter);
    if (with_id) strbuf_appendf(&name, " (%s)", run->id);
    json_next_item(out);
    strbuf_append_char(out, '{');
    json_member_str(out, "name", name.data);
    strbuf_append_char(out, '}');
    strbuf_release(&name);
}

static bool same_string(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void append_head(struct pairing *p)
{
    struct strbuf *out = &p->out, source;
    bool same = same_string(p->a.run.model_path, p->b.run.model_path) &&
                same_string(p->a.run.adapter, p->b.run.adapter);
    strbuf_init(&source, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&source, "assay: runs %s and %s", p->a.run.id, p->b.run.id);
    strbuf_append_char(out, '{');
    json_member_key(out, "metadata");
    strbuf_append_char(out, '{');
    json_member_str(out, "source_path", source.data);
    json_member_key(out, "custom_fields_schema");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        json_next_item(out);
        strbuf_append_char(out, '{');
        json_member_str(out, "name", fields[i].name);
        json_member_str(out, "type", fields[i].type);
        strbuf_append_char(out, '}');
    }
    strbuf_append_str(out, "]}");
    json_member_key(out, "models");
    strbuf_append_char(out, '[');
    append_model(out, &p->a.run, same);
    append_model(out, &p->b.run, same);
    strbuf_append_char(out, ']');
    json_member_key(out, "examples");
    strbuf_append_char(out, '[');
    strbuf_release(&source);
}

/* ---- an example ---- */

/* What a model said to a document, and what was made of it. */
struct answer {
    struct text text;
    const struct reply_record *reply;     /* NULL where there are choices */
    const struct verdict_record *verdict; /* by the measure; NULL: none */
};

/* The text of the reply, or of the choice with the highest log-probability, the first of several.
 */
static struct answer find_answer(const struct sample_record *record, int64_t repeat,
                                 const struct measure *measure)
{
    struct answer answer = {0};
    double best = (double)-INFINITY;
    for (const struct reply_record *r = record->replies; r; r = r->next)
        if (r->repeat == repeat) answer.reply = r;
    if (answer.reply) answer.text = answer.reply->text;
    for (const struct choice_record *c = record->choices; c; c = c->next)
        if (c->logprob > best) {
            best = c->logprob;
            answer.text = c->text;
        }
    for (const struct verdict_record *v = record->verdicts; v && !answer.verdict; v = v->next)
        if (v->repeat == repeat &&
            (!measure->metric || (text_equal(v->metric, text_of(measure->metric)) &&
                                  text_equal(v->extraction, text_of(measure->extraction)))))
            answer.verdict = v;
    return answer;
}

/* "key": [a, b] */
static void append_texts(struct strbuf *out, const char *key, struct text a, struct text b)
{
    json_member_key(out, key);
    strbuf_append_char(out, '[');
    const struct text both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        json_next_item(out);
        if (both[i].data)
            json_append_text(out, both[i]);
        else
            strbuf_append_str(out, "null");
    }
    strbuf_append_char(out, ']');
}

static void append_numbers(struct strbuf *out, const char *key, double a, double b)
{
    json_member_key(out, key);
    strbuf_append_char(out, '[');
    json_append_number(out, a);
    strbuf_append_str(out, ", ");
    json_append_number(out, b);
    strbuf_append_char(out, ']');
}

static double token_count(const struct answer *answer)
{
    bool known = answer->reply && answer->reply->n_tokens != STORE_UNKNOWN;
    return known ? (double)answer->reply->n_tokens : (double)NAN;
}

static void append_fields(struct pairing *p, int64_t repeat, const struct answer *a,
                          const struct answer *b)
{
    struct strbuf *out = &p->out;
    const struct text none = {0};
    const struct sample_record *one = &p->a.record, *other = &p->b.record;
    bool same_prompt = text_equal(one->prompt, other->prompt);
    json_member_key(out, "custom_fields");
    strbuf_append_char(out, '{');
    json_member_key(out, "doc_id");
    strbuf_appendf(out, "\"%lld\"", (long long)one->doc_id);
    json_member_int(out, "repeat", repeat);
    json_member_text(out, "target", one->target);
    json_member_text(out, "prompt_b", same_prompt ? none : other->prompt);
    json_member_text(out, "metric", a->verdict ? a->verdict->metric : none);
    append_numbers(out, "value", a->verdict ? a->verdict->value : (double)NAN,
                   b->verdict ? b->verdict->value : (double)NAN);
    append_texts(out, "outcome", a->verdict ? a->verdict->outcome : none,
                 b->verdict ? b->verdict->outcome : none);
    append_texts(out, "extracted", a->verdict ? a->verdict->extracted : none,
                 b->verdict ? b->verdict->extracted : none);
    append_texts(out, "finish_reason", a->reply ? a->reply->finish_reason : none,
                 b->reply ? b->reply->finish_reason : none);
    append_numbers(out, "n_tokens", token_count(a), token_count(b));
    strbuf_append_char(out, '}');
}

/* How much better A is; NAN where one of the two is not known, or none is better. */
static double score_of(const struct answer *a, const struct answer *b,
                       enum metric_direction direction)
{
    if (!a->verdict || !b->verdict || direction == NO_DIRECTION) return (double)NAN;
    double score = a->verdict->value - b->verdict->value;
    if (direction == LOWER_IS_BETTER) score = -score;
    return isnan(score) ? score : fmax(-MOST_SCORE, fmin(MOST_SCORE, score)) + 0.0;
}

static status_code write_example(struct pairing *p, int64_t repeat, struct status *st)
{
    struct strbuf *out = &p->out;
    const struct answer a = find_answer(&p->a.record, repeat, &p->measure);
    const struct answer b = find_answer(&p->b.record, repeat, &p->measure);
    if (!a.text.data || !b.text.data) return STATUS_OK; /* one of the two was never made */
    strbuf_append_str(out, p->n_examples++ ? ",\n{" : "\n{");
    json_member_text(out, "input_text", p->a.record.prompt.data ? p->a.record.prompt : text_of(""));
    json_member_key(out, "tags");
    strbuf_append_char(out, '[');
    json_append_str(out, p->a.record.task);
    strbuf_append_char(out, ']');
    json_member_text(out, "output_text_a", a.text);
    json_member_text(out, "output_text_b", b.text);
    json_member_number(out, "score", score_of(&a, &b, p->measure.direction));
    json_member_key(out, "individual_rater_scores");
    strbuf_append_str(out, "[]");
    append_fields(p, repeat, &a, &b);
    strbuf_append_char(out, '}');
    return flush(p, st);
}

/* The metric of A's document that is held against B's: the first that has verdicts of its own and a
 * direction, or else what the first metric with a direction is made of.  Where there is none the
 * verdicts are the first ones, and no score is better. */
static status_code choose_metric(struct pairing *p, struct status *st)
{
    static const char sql[] =
        "SELECT coalesce(m.source, m.metric), m.extraction, m.higher_is_better "
        "FROM task_metric m JOIN sample s ON s.run = m.run AND s.task = m.task "
        "WHERE m.run = ?1 AND m.task = ?2 AND s.doc_id = ?3 AND m.best_of = 1 "
        "AND m.higher_is_better IS NOT NULL AND (m.stratum IS NULL OR m.stratum = s.stratum) "
        "ORDER BY m.source IS NOT NULL, m.position LIMIT 1";
    struct query *query = query_cached(p->a.store, sql, st);
    bool found = false;
    if (!query) return st->code;
    query_bind_str(query, p->a.run.id);
    query_bind_str(query, p->a.record.task);
    query_bind_int(query, p->a.record.doc_id);
    status_code code = query_row(query, &found, st);
    p->measure = (struct measure){.direction = NO_DIRECTION};
    if (code == STATUS_OK && found) {
        p->measure.direction = query_int(query, 2) == 1 ? HIGHER_IS_BETTER : LOWER_IS_BETTER;
        code = query_copy_str(query, 0, &p->document, &p->measure.metric, st);
        if (code == STATUS_OK)
            code = query_copy_str(query, 1, &p->document, &p->measure.extraction, st);
    }
    query_reset(query);
    return code;
}

/* Of all replies that both have: one, where there are choices. */
static status_code write_document(struct pairing *p, struct status *st)
{
    const struct reply_record *reply = p->a.record.replies;
    arena_reset(&p->document);
    status_code code = choose_metric(p, st);
    if (code == STATUS_OK && p->a.record.choices) return write_example(p, 0, st);
    for (; reply && code == STATUS_OK; reply = reply->next)
        code = write_example(p, reply->repeat, st);
    return code;
}

/* ---- a task ---- */

static status_code open_task(struct side *side, const char *task, struct status *st)
{
    status_code code = sample_reader_create(&side->reader, side->store, side->run.id, -1, true, st);
    if (code != STATUS_OK) return code;
    sample_reader_only(side->reader, task);
    return sample_reader_next(side->reader, &side->record, st);
}

static bool is_same_document(const struct sample_record *a, const struct sample_record *b)
{
    return !a->doc_hash.data || !b->doc_hash.data || text_equal(a->doc_hash, b->doc_hash);
}

/* Both runs have their documents in order. */
static status_code write_task(struct pairing *p, const char *task, struct status *st)
{
    status_code code = open_task(&p->a, task, st);
    if (code == STATUS_OK) code = open_task(&p->b, task, st);
    while (code == STATUS_OK && p->a.record.task && p->b.record.task) {
        int64_t a = p->a.record.doc_id, b = p->b.record.doc_id;
        if (a == b && is_same_document(&p->a.record, &p->b.record)) code = write_document(p, st);
        if (code == STATUS_OK && a <= b) code = sample_reader_next(p->a.reader, &p->a.record, st);
        if (code == STATUS_OK && b <= a) code = sample_reader_next(p->b.reader, &p->b.record, st);
    }
    sample_reader_free(p->a.reader);
    sample_reader_free(p->b.reader);
    p->a.reader = p->b.reader = NULL;
    return code;
}

static bool has_task(const struct side *side, const char *task)
{
    for (size_t i = 0; i < side->n_tasks; i++)
        if (strcmp(side->tasks[i].task, task) == 0) return true;
    return false;
}

status_code report_llm_comparator(struct store *store_a, const char *run_a, struct store *store_b,
                                  const char *run_b, report_line *write, void *user,
                                  struct status *st)
{
    struct pairing p = {.write = write, .user = user};
    arena_init(&p.arena, LIMIT_REPORT_BYTES);
    arena_init(&p.document, LIMIT_CONFIG_BYTES);
    strbuf_init(&p.out, LIMIT_JSON_BYTES);
    status_code code = open_side(&p, &p.a, store_a, run_a, st);
    if (code == STATUS_OK) code = open_side(&p, &p.b, store_b, run_b, st);
    if (code == STATUS_OK) append_head(&p);
    for (size_t i = 0; i < p.a.n_tasks && code == STATUS_OK; i++)
        if (has_task(&p.b, p.a.tasks[i].task)) code = write_task(&p, p.a.tasks[i].task, st);
    if (code == STATUS_OK && !p.n_examples)
        code = status_set(st, STATUS_NOT_FOUND, "runs %s and %s have no document in common", run_a,
                          run_b);
    if (code == STATUS_OK) {
        strbuf_append_str(&p.out, "\n]}\n");
        code = flush(&p, st);
    }
    strbuf_release(&p.out);
    arena_release(&p.arena);
    arena_release(&p.document);
    return code;
}
