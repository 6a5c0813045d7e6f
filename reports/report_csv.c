/* report_csv.c - one row of CSV (RFC 4180) for each verdict, for spreadsheets and data frames. */
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "reports/report.h"
#include "reports/sample_reader.h"

static const char header[] = "run,task,doc_id,repeat,state,metric,extraction,value,enforce_value,"
                             "outcome,extracted,target,reply,finish_reason,n_tokens,"
                             "n_prompt_tokens,n_truncated,doc_hash,prompt_hash,error\n";

/* A field and the comma behind it; what is unknown is empty. */
static void append_field(struct strbuf *out, struct text text)
{
    struct strbuf valid;
    strbuf_init(&valid, 3 * (size_t)LIMIT_REPLY_BYTES);
    utf8_append_valid(&valid, text);
    if (valid.state != STATUS_OK && out->state == STATUS_OK) out->state = valid.state;
    bool plain = true;
    for (size_t i = 0; i < valid.length; i++)
        plain = plain && valid.data[i] != ',' && valid.data[i] != '"' && valid.data[i] != '\r' &&
                valid.data[i] != '\n';
    if (!plain) strbuf_append_char(out, '"');
    for (size_t i = 0; i < valid.length; i++) {
        if (valid.data[i] == '"') strbuf_append_char(out, '"');
        strbuf_append_char(out, valid.data[i]);
    }
    strbuf_append_str(out, plain ? "," : "\",");
    strbuf_release(&valid);
}

static void append_int(struct strbuf *out, int64_t number)
{
    if (number != STORE_UNKNOWN) strbuf_appendf(out, "%lld", (long long)number);
    strbuf_append_char(out, ',');
}

static void append_number(struct strbuf *out, double number)
{
    if (number - number == 0) json_append_number(out, number); /* neither NAN nor infinite */
    strbuf_append_char(out, ',');
}

static const struct reply_record *find_reply(const struct sample_record *record, int64_t repeat)
{
    const struct reply_record *reply = record->replies;
    while (reply && reply->repeat != repeat) reply = reply->next;
    return reply;
}

static void append_verdict(struct strbuf *out, const char *run, const struct sample_record *record,
                           const struct verdict_record *v)
{
    const struct reply_record *reply = find_reply(record, v->repeat);
    append_field(out, text_of(run));
    append_field(out, text_of(record->task));
    append_int(out, record->doc_id);
    append_int(out, v->repeat);
    append_field(out, record->state);
    append_field(out, v->metric);
    append_field(out, v->extraction);
    append_number(out, v->value);
    append_number(out, v->enforce_value);
    append_field(out, v->outcome);
    append_field(out, v->extracted);
    append_field(out, record->target);
    append_field(out, reply ? reply->text : (struct text){0});
    append_field(out, reply ? reply->finish_reason : (struct text){0});
    append_int(out, reply ? reply->n_tokens : STORE_UNKNOWN);
    append_int(out, record->n_prompt_tokens);
    append_int(out, record->n_truncated);
    append_field(out, record->doc_hash);
    append_field(out, record->prompt_hash);
    append_field(out, record->error_text);
    strbuf_truncate(out, out->length ? out->length - 1 : 0);
    strbuf_append_char(out, '\n');
}

status_code report_csv_header(report_line *write, void *user, struct status *st)
{
    return write(user, text_of(header), st);
}

struct csv_writer {
    const char *run;
    struct strbuf line;
    report_line *write;
    void *user;
};

static status_code write_sample(void *user, const struct sample_record *record, struct status *st)
{
    struct csv_writer *w = user;
    strbuf_clear(&w->line);
    for (const struct verdict_record *v = record->verdicts; v; v = v->next)
        append_verdict(&w->line, w->run, record, v);
    status_code code = strbuf_check(&w->line, "a line of the export", st);
    if (code != STATUS_OK || !w->line.length) return code;
    return w->write(w->user, (struct text){w->line.data, w->line.length}, st);
}

status_code report_csv(struct store *store, const char *run, report_line *write, void *user,
                       struct status *st)
{
    struct csv_writer w = {.run = run, .write = write, .user = user};
    strbuf_init(&w.line, LIMIT_JSON_BYTES);
    status_code code = sample_reader_each(store, run, NULL, false, write_sample, &w, st);
    strbuf_release(&w.line);
    return code;
}
