#include "benchmarks/cli/guard_json.h"

#include <math.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"

/* What decided: of a block, or of one that the allow list turned into a pass. */
static void append_reason(struct strbuf *out, const struct pipeline *pipeline,
                          const struct guard_event *event)
{
    strbuf_appendf(out,
                   ", \"category\": \"%s\", \"probability\": ", hazard_get(event->category)->name);
    json_append_number(out, event->probability);
    strbuf_append_str(out, ", \"threshold\": ");
    json_append_number(out, event->threshold);
    strbuf_append_str(out, ", \"classifier\": ");
    json_append_str(out, classifier_id(pipeline_classifier(pipeline, event->classifier)));
}

void guard_json_append_event(struct strbuf *out, const struct pipeline *pipeline,
                             const struct guard_event *event)
{
    strbuf_appendf(out, "\"verdict\": \"%s\", \"response\": \"%s\"",
                   guard_verdict_name(event->verdict), guard_response_name(event->response));
    if (event->classifier >= 0) append_reason(out, pipeline, event);
    if (event->exempted) strbuf_append_str(out, ", \"exempted\": true");
    if (event->n_attempts) strbuf_appendf(out, ", \"attempts\": %d", event->n_attempts);
    if (!event->error[0]) return;
    strbuf_append_str(out, ", \"why\": ");
    json_append_str(out, event->error);
}

/* What each classifier that was asked said; null where it could not tell. */
static void append_scores(struct strbuf *out, const struct pipeline *pipeline,
                          const struct guard_record *record)
{
    strbuf_append_str(out, ", \"scores\": {");
    for (int i = 0, last = -1; i < record->n_scores; i++) {
        const struct guard_score *score = &record->scores[i];
        if (score->classifier != last) {
            strbuf_append_str(out, last >= 0 ? "}, " : "");
            json_append_str(out, classifier_id(pipeline_classifier(pipeline, score->classifier)));
            strbuf_append_str(out, ": {");
        } else {
            strbuf_append_str(out, ", ");
        }
        last = score->classifier;
        strbuf_appendf(out, "\"%s\": ", hazard_get(score->category)->name);
        json_append_number(out, score->scored ? score->probability : (double)NAN);
    }
    strbuf_append_str(out, record->n_scores ? "}}" : "}");
}

status_code guard_json_append_verdict(struct strbuf *out, const struct pipeline *pipeline,
                                      enum guard_stage stage, struct text prompt, struct text text,
                                      struct status *st)
{
    struct guard_record record;
    struct strbuf shown;
    strbuf_init(&shown, 2 * LIMIT_REPLY_BYTES);
    bool is_reply = stage == GUARD_OUTPUT;
    status_code code = pipeline_screen(pipeline, stage, is_reply ? prompt : text,
                                       is_reply ? text : text_of(""), &record, &shown, st);
    if (code == STATUS_OK) code = strbuf_check(&shown, "what is shown of a text", st);
    if (code == STATUS_OK) {
        strbuf_append_char(out, '{');
        guard_json_append_event(out, pipeline, &record.events[0]);
        strbuf_append_str(out, ", \"delivered\": ");
        json_append_text(out, (struct text){shown.data, shown.length});
        append_scores(out, pipeline, &record);
        strbuf_appendf(out, ", \"policy\": \"%s\"}\n",
                       policy_get_info(pipeline_policy(pipeline))->sha256);
        code = strbuf_check(out, "the verdict on a text", st);
    }
    guard_record_release(&record);
    strbuf_release(&shown);
    return code;
}
