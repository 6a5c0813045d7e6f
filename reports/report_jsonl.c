/* report_jsonl.c - one line of JSON per reply, for other tools. */
#include <math.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_json.h"
#include "reports/sample_reader.h"

static void append_key(struct strbuf *out, const struct verdict_record *verdict)
{
    struct strbuf key;
    strbuf_init(&key, LIMIT_CONFIG_BYTES);
    strbuf_append(&key, verdict->metric.data, verdict->metric.length);
    if (!text_equal(verdict->extraction, text_of(STORE_NO_EXTRACTION))) {
        strbuf_append_char(&key, ',');
        strbuf_append(&key, verdict->extraction.data, verdict->extraction.length);
    }
    json_member_key(out, key.data);
    strbuf_release(&key);
}

/* The texts that were extracted, each extraction once however many metrics read it. */
static void append_extracted(struct strbuf *out, const struct sample_record *record, int64_t repeat)
{
    json_member_key(out, "extracted");
    strbuf_append_char(out, '{');
    for (const struct verdict_record *v = record->verdicts; v; v = v->next) {
        bool seen = false;
        if (v->repeat != repeat) continue;
        for (const struct verdict_record *u = record->verdicts; u != v; u = u->next)
            seen = seen || (u->repeat == repeat && text_equal(u->extraction, v->extraction));
        bool whole = text_equal(v->extraction, text_of(STORE_NO_EXTRACTION));
        if (seen || (whole && !v->extracted.data)) continue;
        json_member_text(out, v->extraction.data, v->extracted);
    }
    strbuf_append_char(out, '}');
}

static void append_verdicts(struct strbuf *out, const struct sample_record *record, int64_t repeat)
{
    const struct verdict_record *headline = NULL;
    append_extracted(out, record, repeat);
    json_member_key(out, "metrics");
    strbuf_append_char(out, '{');
    for (const struct verdict_record *v = record->verdicts; v; v = v->next) {
        if (v->repeat != repeat) continue;
        if (!headline) headline = v;
        append_key(out, v);
        json_append_number(out, v->value);
    }
    strbuf_append_char(out, '}');
    json_member_text(out, "outcome", headline ? headline->outcome : (struct text){0});
}

static void append_choices(struct strbuf *out, const struct sample_record *record)
{
    json_member_key(out, "choices");
    if (!record->choices) {
        strbuf_append_str(out, "null");
        return;
    }
    strbuf_append_char(out, '[');
    for (const struct choice_record *c = record->choices; c; c = c->next) {
        json_next_item(out);
        strbuf_append_char(out, '{');
        json_member_text(out, "text", c->text);
        json_member_number(out, "logprob", c->logprob);
        json_member_int(out, "n_tokens", c->n_tokens);
        json_member_key(out, "is_greedy");
        strbuf_append_str(out, c->is_greedy == 1 ? "true" : c->is_greedy == 0 ? "false" : "null");
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

/* An input event holds for every repeat. */
static void append_events(struct strbuf *out, const struct sample_record *record, int64_t repeat)
{
    json_member_key(out, "guard");
    strbuf_append_char(out, '[');
    for (const struct event_record *e = record->events; e; e = e->next) {
        if (e->repeat != repeat && !text_equal(e->stage, text_of("input"))) continue;
        json_next_item(out);
        strbuf_append_char(out, '{');
        json_member_text(out, "stage", e->stage);
        json_member_text(out, "mode", e->mode);
        json_member_text(out, "verdict", e->verdict);
        json_member_text(out, "action", e->action);
        json_member_text(out, "response", e->response);
        json_member_text(out, "category", e->category);
        json_member_text(out, "rule", e->rule);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

static void append_sample(struct strbuf *out, const char *run, const struct sample_record *record,
                          const struct reply_record *reply, int64_t repeat)
{
    strbuf_append_char(out, '{');
    json_member_str(out, "run", run);
    json_member_str(out, "task", record->task);
    json_member_int(out, "doc_id", record->doc_id);
    json_member_int(out, "repeat", repeat);
    json_member_text(out, "state", record->state);
    json_member_text(out, "reply", reply ? reply->text : (struct text){0});
    if (reply)
        json_member_text(out, "delivered", reply->delivered.data ? reply->delivered : reply->text);
    else
        json_member_str(out, "delivered", NULL);
    append_choices(out, record);
    append_verdicts(out, record, repeat);
    json_member_text(out, "target", record->target);
    json_member_text(out, "finish_reason", reply ? reply->finish_reason : (struct text){0});
    json_member_int(out, "n_tokens", reply ? reply->n_tokens : STORE_UNKNOWN);
    json_member_int(out, "n_prompt_tokens", record->n_prompt_tokens);
    json_member_int(out, "n_truncated", record->n_truncated);
    json_member_text(out, "prompt_hash", record->prompt_hash);
    json_member_text(out, "doc_hash", record->doc_hash);
    append_events(out, record, repeat);
    json_member_text(out, "error", record->error_text);
    strbuf_append_str(out, "}\n");
}

struct line_writer {
    const char *run;
    struct strbuf line;
    report_line *write;
    void *user;
};

/* The repeats of a sample: those with a reply, or those with a verdict where there is none. */
static status_code write_sample(void *user, const struct sample_record *record, struct status *st)
{
    struct line_writer *w = user;
    const struct reply_record *reply = record->replies;
    const struct verdict_record *verdict = record->verdicts;
    int64_t repeat = reply ? reply->repeat : 0;
    for (;;) {
        strbuf_clear(&w->line);
        append_sample(&w->line, w->run, record, reply, repeat);
        if (strbuf_check(&w->line, "a line of the export", st) != STATUS_OK ||
            w->write(w->user, (struct text){w->line.data, w->line.length}, st) != STATUS_OK)
            return st->code;
        if (reply) {
            reply = reply->next;
            if (!reply) return STATUS_OK;
            repeat = reply->repeat;
            continue;
        }
        while (verdict && verdict->repeat <= repeat) verdict = verdict->next;
        if (!verdict) return STATUS_OK;
        repeat = verdict->repeat;
    }
}

status_code report_jsonl(struct store *store, const char *run, report_line *write, void *user,
                         struct status *st)
{
    struct line_writer w = {.run = run, .write = write, .user = user};
    strbuf_init(&w.line, LIMIT_JSON_BYTES);
    status_code code = sample_reader_each(store, run, NULL, false, write_sample, &w, st);
    strbuf_release(&w.line);
    return code;
}
