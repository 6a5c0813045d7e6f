/* What is done about a reply that calls for the action. */
#include "classifiers/guard_internal.h"
#include "classifiers/text_ranges.h"
#include "engine/base/limits.h"

#define REDACTION_ROUNDS 4

const char *guard_response_name(enum guard_response response)
{
    static const char *const names[] = {
        [GUARD_RESPONSE_NONE] = "none",     [GUARD_RESPONSE_LOG] = "log",
        [GUARD_RESPONSE_REDACT] = "redact", [GUARD_RESPONSE_REFUSE] = "refuse",
        [GUARD_RESPONSE_STOP] = "stop",     [GUARD_RESPONSE_REGENERATE] = "regenerate",
    };
    BUG_IF((unsigned)response >= sizeof names / sizeof names[0]);
    return names[response];
}

/* ---- redaction ---- */

/* Collects what a classifier points at for the categories that fired. */
struct span_sink {
    struct text text;
    hazard_set fired;
    struct text_ranges *ranges;
    struct status status;
};

static void take_span(void *user, const struct hazard_span *span)
{
    struct span_sink *sink = user;
    size_t start = (size_t)(span->text.data - sink->text.data);
    if (!(sink->fired & HAZARD_BIT(span->category)) || !(span->weight > 0)) return;
    if (sink->status.code == STATUS_OK)
        sink->status.code =
            text_ranges_add(sink->ranges, start, start + span->text.length, &sink->status);
}

static status_code find_spans(const struct pipeline *pipeline, struct text prompt, struct text text,
                              const struct guard_check *check, struct text_ranges *ranges,
                              struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < pipeline->n_classifiers && code == STATUS_OK; i++) {
        struct span_sink sink = {.text = text, .fired = check->fired[i], .ranges = ranges};
        struct guard_windows windows = guard_windows_start(pipeline, GUARD_OUTPUT, i, text);
        struct text window;
        while (sink.fired && code == STATUS_OK && guard_windows_next(&windows, &window))
            code =
                classifier_explain(pipeline->classifiers[i], prompt, window, take_span, &sink, st);
        if (code == STATUS_OK && sink.status.code != STATUS_OK)
            code = status_set(st, sink.status.code, "%s", sink.status.message);
    }
    return code;
}

/* One round: *text with what fired replaced, into *out.  Fails when nothing could be pointed at. */
static status_code redact_once(const struct pipeline *pipeline, struct text prompt,
                               struct text text, const struct guard_check *check,
                               struct strbuf *out, struct status *st)
{
    struct text_ranges ranges;
    text_ranges_init(&ranges);
    status_code code = find_spans(pipeline, prompt, text, check, &ranges, st);
    if (code == STATUS_OK && !ranges.count)
        code = status_set(st, STATUS_UNSUPPORTED, "the classifier pointed at nothing");
    if (code == STATUS_OK)
        code = text_ranges_replace(&ranges, text, pipeline->rules->redaction, out, st);
    text_ranges_release(&ranges);
    return code;
}

/* Redacts until the text passes: what one classifier of a cascade no longer objects to goes to the
 * next.  True when *altered holds a text that passed; checks are added to the event's cost. */
static bool redact(const struct stream_guard *stream, struct text reply, struct guard_check *check,
                   struct strbuf *altered)
{
    const struct pipeline *pipeline = stream->pipeline;
    struct text prompt = stream->item->guard_text, text = reply;
    struct guard_check last = *check;
    struct strbuf spare;
    bool passed = false;
    strbuf_init(&spare, LIMIT_REPLY_BYTES);
    for (int round = 0; round < REDACTION_ROUNDS && !passed; round++) {
        struct status why = {0};
        if (last.event.verdict != GUARD_BLOCK) break;
        strbuf_clear(altered);
        if (redact_once(pipeline, prompt, text, &last, altered, &why) != STATUS_OK) break;
        guard_check_run(pipeline, GUARD_OUTPUT, prompt,
                        (struct text){altered->data, altered->length}, &last);
        check->event.n_checks++;
        check->event.seconds += last.event.seconds;
        passed = !last.event.fires;
        strbuf_clear(&spare);
        strbuf_append(&spare, altered->data, altered->length);
        if (spare.state != STATUS_OK) break;
        text = (struct text){spare.data, spare.length};
    }
    strbuf_release(&spare);
    if (!passed) strbuf_clear(altered);
    return passed;
}

/* ---- actions ---- */

/* A greedy reply would come out the same again. */
static bool can_regenerate(const struct stream_guard *stream)
{
    return stream->item->request.sampling.temperature > 0;
}

status_code guard_respond(const struct stream_guard *stream, struct text reply,
                          struct guard_check *check, struct strbuf *altered, struct status *st)
{
    struct guard_event *event = &check->event;
    if (!event->fires) return STATUS_OK;
    event->response = GUARD_RESPONSE_REFUSE;
    switch (event->action) {
    case GUARD_ACTION_LOG:
        event->response = GUARD_RESPONSE_LOG;
        break;
    case GUARD_ACTION_REDACT:
        if (redact(stream, reply, check, altered)) event->response = GUARD_RESPONSE_REDACT;
        break;
    case GUARD_ACTION_STOP:
        strbuf_append(altered, reply.data, stream->n_passed);
        if (stream->n_passed) event->response = GUARD_RESPONSE_STOP;
        break;
    case GUARD_ACTION_REGENERATE:
        if (can_regenerate(stream)) event->response = GUARD_RESPONSE_REGENERATE;
        break;
    case GUARD_ACTION_REFUSE:
        break;
    }
    event->blocks = event->response == GUARD_RESPONSE_REFUSE ||
                    event->response == GUARD_RESPONSE_STOP ||
                    event->response == GUARD_RESPONSE_REGENERATE;
    return strbuf_check(altered, "a reply", st);
}
