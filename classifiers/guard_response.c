/* What is done about a reply that calls for the action. */
#include <stdlib.h>
#include <string.h>

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

/* A stretch that a classifier points at, and how much it adds to what fired. */
struct suspect {
    size_t start, end;
    double weight;
};

struct suspects {
    struct text text;
    hazard_set fired;   /* of the classifier at hand */
    struct suspect *at; /* owned */
    size_t n, room;
    bool has_memory;
};

static void take_span(void *user, const struct hazard_span *span)
{
    struct suspects *suspects = user;
    size_t start = (size_t)(span->text.data - suspects->text.data);
    if (!(suspects->fired & HAZARD_BIT(span->category)) || !(span->weight > 0)) return;
    if (suspects->n == suspects->room) {
        size_t room = suspects->room ? 2 * suspects->room : 64;
        struct suspect *at = realloc(suspects->at, room * sizeof *at);
        suspects->has_memory = suspects->has_memory && at;
        if (!at) return;
        suspects->at = at;
        suspects->room = room;
    }
    suspects->at[suspects->n++] = (struct suspect){start, start + span->text.length, span->weight};
}

static int by_place(const void *a, const void *b)
{
    const struct suspect *x = a, *y = b;
    int order = (x->start > y->start) - (x->start < y->start);
    return order ? order : (x->end > y->end) - (x->end < y->end);
}

static int by_weight(const void *a, const void *b)
{
    const struct suspect *x = a, *y = b;
    int order = (x->weight < y->weight) - (x->weight > y->weight);
    return order ? order : by_place(a, b);
}

/* A stretch that is pointed at for several categories, or by several windows, is one. */
static void rank_suspects(struct suspects *suspects)
{
    size_t n = 0;
    if (suspects->n) qsort(suspects->at, suspects->n, sizeof *suspects->at, by_place);
    for (size_t i = 0; i < suspects->n; i++) {
        struct suspect *last = n ? &suspects->at[n - 1] : NULL;
        if (!last || by_place(last, &suspects->at[i]) != 0)
            suspects->at[n++] = suspects->at[i];
        else if (suspects->at[i].weight > last->weight)
            last->weight = suspects->at[i].weight;
    }
    suspects->n = n;
    if (n) qsort(suspects->at, n, sizeof *suspects->at, by_weight);
}

/* What the classifiers point at in the subject's text, the heaviest first. */
static status_code find_suspects(const struct pipeline *pipeline, struct text prompt,
                                 struct text text, const struct guard_check *check,
                                 struct suspects *suspects, struct status *st)
{
    status_code code = STATUS_OK;
    suspects->text = text;
    suspects->n = 0;
    for (int i = 0; i < pipeline->n_classifiers && code == STATUS_OK; i++) {
        struct guard_windows windows = guard_windows_start(pipeline, GUARD_OUTPUT, i, text);
        struct text window;
        suspects->fired = check->fired[i];
        while (suspects->fired && code == STATUS_OK && guard_windows_next(&windows, &window))
            code = classifier_explain(pipeline->classifiers[i], prompt, window, take_span, suspects,
                                      st);
    }
    if (code == STATUS_OK && !suspects->has_memory)
        code = status_no_memory(st, "the stretches of a text");
    if (code == STATUS_OK) rank_suspects(suspects);
    return code;
}

/* Whether nothing but blanks stands between two stretches. */
static bool are_neighbours(struct text text, size_t end, size_t start)
{
    while (end < start && (text.data[end] == ' ' || text.data[end] == '\n' ||
                           text.data[end] == '\t' || text.data[end] == '\r'))
        end++;
    return end >= start;
}

/* The text without its `n` heaviest suspects, into *out; neighbours are replaced as one. */
static status_code replace_suspects(const struct suspects *suspects, size_t n,
                                    struct text replacement, struct strbuf *out, struct status *st)
{
    struct text_ranges ranges;
    struct suspect *chosen = malloc(n * sizeof *chosen);
    text_ranges_init(&ranges);
    status_code code = chosen ? STATUS_OK : status_no_memory(st, "the stretches of a text");
    if (chosen) memcpy(chosen, suspects->at, n * sizeof *chosen);
    if (chosen) qsort(chosen, n, sizeof *chosen, by_place);
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        bool joined =
            i + 1 < n && are_neighbours(suspects->text, chosen[i].end, chosen[i + 1].start);
        size_t end =
            joined && chosen[i + 1].start > chosen[i].end ? chosen[i + 1].start : chosen[i].end;
        code = text_ranges_add(&ranges, chosen[i].start, end, st);
    }
    strbuf_clear(out);
    if (code == STATUS_OK)
        code = text_ranges_replace(&ranges, suspects->text, replacement, out, st);
    text_ranges_release(&ranges);
    free(chosen);
    return code;
}

/* A redaction under way. */
struct redaction {
    const struct pipeline *pipeline;
    struct text prompt;
    struct suspects suspects;
    struct guard_check *cost; /* the event that pays for the checks */
    struct guard_check last;  /* of what *altered holds */
    struct strbuf *altered;
};

/* Whether the text passes without its n heaviest suspects. */
static bool passes_without(struct redaction *r, size_t n)
{
    struct status why = {0};
    r->last.event.fires = true;
    r->last.event.verdict = GUARD_ERROR;
    if (replace_suspects(&r->suspects, n, r->pipeline->rules->redaction, r->altered, &why) !=
        STATUS_OK)
        return false;
    guard_check_run(r->pipeline, GUARD_OUTPUT, r->prompt,
                    (struct text){r->altered->data, r->altered->length}, &r->last);
    r->cost->event.n_checks++;
    r->cost->event.seconds += r->last.event.seconds;
    return !r->last.event.fires;
}

/* Takes away twice as many, the heaviest first, until the text passes, and then puts back what need
 * not have gone.  False, with all of them gone, where that is not enough. */
static bool redact_round(struct redaction *r)
{
    size_t too_few = 0, enough = 1, n = r->suspects.n;
    if (!n) return false;
    while (!passes_without(r, enough)) {
        if (enough == n) return false;
        too_few = enough;
        enough = 2 * enough < n ? 2 * enough : n;
    }
    while (enough - too_few > 1) {
        size_t middle = too_few + (enough - too_few) / 2;
        if (passes_without(r, middle))
            enough = middle;
        else
            too_few = middle;
    }
    return passes_without(r, enough);
}

/* Redacts until the text passes: what one classifier of a cascade no longer objects to goes to the
 * next.  True when *altered holds a text that passed; checks are added to the event's cost. */
static bool redact(const struct stream_guard *stream, struct text reply, struct guard_check *check,
                   struct strbuf *altered)
{
    struct redaction r = {.pipeline = stream->pipeline,
                          .prompt = stream->item->guard_text,
                          .suspects.has_memory = true,
                          .cost = check,
                          .last = *check,
                          .altered = altered};
    struct text text = reply;
    struct strbuf spare;
    bool passed = false;
    strbuf_init(&spare, 2 * LIMIT_REPLY_BYTES);
    for (int round = 0; round < REDACTION_ROUNDS && !passed; round++) {
        struct status why = {0};
        if (r.last.event.verdict != GUARD_BLOCK) break;
        if (find_suspects(r.pipeline, r.prompt, text, &r.last, &r.suspects, &why) != STATUS_OK)
            break;
        passed = redact_round(&r);
        strbuf_clear(&spare);
        strbuf_append(&spare, altered->data, altered->length);
        if (spare.state != STATUS_OK) break;
        text = (struct text){spare.data, spare.length};
    }
    strbuf_release(&spare);
    free(r.suspects.at);
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
