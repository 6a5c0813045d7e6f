/* A reply while it grows: when it is judged, what of it may be heard, where it is cut. */
#include "classifiers/guard_internal.h"
#include "engine/base/utf8.h"

#define LAST_WORD_BYTES 64

void guard_stream_init(struct stream_guard *stream, const struct pipeline *pipeline,
                       const struct generate_item *item)
{
    *stream = (struct stream_guard){.pipeline = pipeline, .item = item};
    for (int i = 0; i < POLICY_MAX_CLASSIFIERS; i++)
        for (int c = 0; c < HAZARD_COUNT; c++) stream->peak[i][c] = -1;
}

void guard_stream_release(struct stream_guard *stream)
{
    for (int i = 0; i < POLICY_MAX_CLASSIFIERS; i++) classifier_growth_free(stream->growth[i]);
}

/* The part of a growing reply that can be judged: up to its last white space, since the word after
 * it may go on ("ass", "assume").  Without white space near the end, all whole characters; nothing
 * of a reply that is a word so far. */
static struct text settled_part(struct text reply)
{
    size_t nearest = reply.length > LAST_WORD_BYTES ? reply.length - LAST_WORD_BYTES : 0;
    for (size_t i = reply.length; i > nearest; i--) {
        char c = reply.data[i - 1];
        if (c == ' ' || c == '\n' || c == '\t') return (struct text){reply.data, i};
    }
    reply.length = nearest ? utf8_complete_length(reply) : 0;
    return reply;
}

static bool call_on_text(const struct generate_request *request, struct text reply)
{
    return !request->on_text || request->on_text(request->user, reply);
}

static void raise_peaks(struct stream_guard *stream, const struct guard_check *check)
{
    for (int i = 0; i < stream->pipeline->n_classifiers; i++)
        for (int c = 0; c < HAZARD_COUNT; c++) {
            const struct hazard_score *score = &check->scores[i].of[c];
            if (score->scored && score->probability > stream->peak[i][c])
                stream->peak[i][c] = score->probability;
        }
}

/* Whether a check that fires ends the stream; the other actions see the reply to its end. */
static bool cuts(enum guard_action action)
{
    return action == GUARD_ACTION_REFUSE || action == GUARD_ACTION_STOP ||
           action == GUARD_ACTION_REGENERATE;
}

/* Judges the settled part.  After a check that enforce would have acted on, shadow goes on for the
 * peaks alone: neither time nor number of these checks is a cost of the guard. */
static void check_growing(struct stream_guard *stream, struct text settled)
{
    struct guard_check check;
    bool is_logged = stream->pipeline->rules->stage[GUARD_OUTPUT].action == GUARD_ACTION_LOG;
    guard_check_growing(stream->pipeline, stream->item->guard_text, settled, stream->growth,
                        &check);
    raise_peaks(stream, &check);
    if (stream->has_fired && !is_logged) return;
    stream->n_checks++;
    stream->seconds += check.event.seconds;
    if (!check.event.fires) {
        stream->n_passed = settled.length;
        return;
    }
    if (stream->has_fired) return;
    stream->has_fired = true;
    stream->fired = check.event;
    if (cuts(check.event.action)) stream->fired.cut_at_token = stream->n_tokens;
}

bool guard_stream_on_text(void *user, struct text reply)
{
    struct stream_guard *stream = user;
    const struct policy_stage *stage = &stream->pipeline->rules->stage[GUARD_OUTPUT];
    bool is_shadow = stream->pipeline->mode == GUARD_SHADOW;
    struct text settled = settled_part(reply);
    bool is_due = ++stream->n_tokens % stage->check_every_tokens == 0 && settled.length;
    bool is_held = stream->has_fired && stage->action != GUARD_ACTION_LOG;
    if (is_due && (is_shadow || !is_held)) check_growing(stream, settled);
    if (is_shadow) return call_on_text(&stream->item->request, reply);
    is_held = stream->has_fired && stage->action != GUARD_ACTION_LOG;
    if (is_held) return !cuts(stage->action);
    return !is_due || call_on_text(&stream->item->request, settled);
}

struct guard_subject guard_stream_subject(struct stream_guard *stream, struct text reply,
                                          struct guard_check *check)
{
    return (struct guard_subject){.prompt = stream->item->guard_text,
                                  .text = reply,
                                  .growth = stream->growth,
                                  .check = check};
}

void guard_stream_finish(struct stream_guard *stream, struct guard_check *check)
{
    raise_peaks(stream, check);
    double seconds = stream->seconds + check->event.seconds;
    /* What is to be redacted is judged by the whole reply. */
    if (stream->has_fired && check->event.action != GUARD_ACTION_REDACT)
        check->event = stream->fired;
    check->event.n_checks = stream->n_checks + 1;
    check->event.seconds = seconds;
}
