/* One check of one text: cascade, windows, allow list and budget, to a verdict. */
#include <stdio.h>
#include <stdlib.h>

#include "classifiers/allow_list.h"
#include "classifiers/guard_internal.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"

/* ---- windows ---- */

struct guard_windows guard_windows_start(const struct pipeline *pipeline, enum guard_stage stage,
                                         int classifier, struct text text)
{
    const struct policy_stage *rules = &pipeline->rules->stage[stage];
    size_t limit = classifier_window_bytes(pipeline->classifiers[classifier]);
    struct guard_windows windows = {.text = text};
    if (rules->window_bytes && (!limit || rules->window_bytes <= limit)) {
        windows.bytes = rules->window_bytes;
        windows.overlap = rules->window_overlap_bytes;
    } else if (limit) {
        windows.bytes = limit;
        windows.overlap = limit / 4;
    }
    return windows;
}

/* Back to the first byte of a character.  Bytes that are no UTF-8 may be cut anywhere. */
static size_t character_start(struct text text, size_t at)
{
    for (size_t i = at; i + 4 > at && i > 0 && i < text.length; i--)
        if (((unsigned char)text.data[i] & 0xc0) != 0x80) return i;
    return at;
}

bool guard_windows_next(struct guard_windows *windows, struct text *window)
{
    size_t start = windows->next, length = windows->text.length;
    if (windows->done) return false;
    windows->done = !windows->bytes || length - start <= windows->bytes;
    if (windows->done) {
        *window =
            (struct text){windows->text.data ? windows->text.data + start : NULL, length - start};
        return true;
    }
    size_t end = character_start(windows->text, start + windows->bytes);
    *window = (struct text){windows->text.data + start, end - start};
    windows->next = character_start(windows->text, end - windows->overlap);
    return true;
}

/* What is left of a stage's budget, at least a moment, so that a spent one fails as a timeout;
 * 0: it has none. */
static double seconds_left(const struct policy_stage *stage, double start)
{
    if (!(stage->budget_ms > 0)) return 0;
    double left = stage->budget_ms / 1000 - (clock_seconds() - start);
    return left > 1e-6 ? left : 1e-6;
}

/* Scores one window, or, of a text that grows and is one window still, what came since the check
 * before. */
static status_code score_window(const struct pipeline *pipeline, enum guard_stage stage, int index,
                                const struct guard_subject *subject, struct text window,
                                struct hazard_scores *out, struct status *st)
{
    const struct classifier *classifier = pipeline->classifiers[index];
    struct classifier_growth **growth = subject->growth ? &subject->growth[index] : NULL;
    if (growth && !*growth) {
        status_code code = classifier_growth_create(growth, classifier, st);
        if (code != STATUS_OK) return code;
    }
    if (growth && *growth && window.length == subject->text.length)
        return classifier_growth_score(*growth, window, out, st);
    return classifier_score_within(classifier, subject->prompt, window,
                                   seconds_left(&pipeline->rules->stage[stage], subject->start),
                                   out, st);
}

/* The highest score of any window stands for the text. */
static void take_window(const struct hazard_scores *scores, bool first, struct hazard_scores *out)
{
    for (int c = 0; c < HAZARD_COUNT; c++) {
        struct hazard_score *highest = &out->of[c];
        const struct hazard_score *score = &scores->of[c];
        if (first)
            *highest = *score;
        else if (!score->scored)
            *highest = (struct hazard_score){0};
        else if (highest->scored && score->probability > highest->probability)
            *highest = *score;
    }
}

/* A window that fails fails the text. */
static status_code score_text(const struct pipeline *pipeline, enum guard_stage stage,
                              int classifier, const struct guard_subject *subject,
                              struct hazard_scores *out, struct status *st)
{
    struct text window;
    status_code code = STATUS_OK;
    struct guard_windows windows = guard_windows_start(pipeline, stage, classifier, subject->text);
    memset(out, 0, sizeof *out);
    for (bool first = true; code == STATUS_OK && guard_windows_next(&windows, &window);
         first = false) {
        struct hazard_scores scores;
        code = score_window(pipeline, stage, classifier, subject, window, &scores, st);
        if (code == STATUS_OK) take_window(&scores, first, out);
    }
    if (code != STATUS_OK) memset(out, 0, sizeof *out);
    return code;
}

/* ---- steps ---- */

/* Takes one score into account.  The highest above its threshold decides. */
static void weigh(struct guard_event *event, int classifier, enum hazard_category category,
                  double probability, double threshold)
{
    double margin = probability - threshold;
    if (event->verdict == GUARD_BLOCK && margin <= event->probability - event->threshold) return;
    event->verdict = GUARD_BLOCK;
    event->classifier = classifier;
    event->category = category;
    event->probability = probability;
    event->threshold = threshold;
}

static void note_error(struct guard_event *event, const struct classifier *classifier,
                       const char *what, const char *why)
{
    if (!event->error[0])
        snprintf(event->error, sizeof event->error, "%s: %.150s%s", classifier_id(classifier), what,
                 why);
}

/* Weighs what one step's classifier said.  `open` are the categories that a cascade has not
 * cleared.
 */
static void take_scores(const struct pipeline *pipeline, const struct policy_step *step,
                        struct guard_subject *subject)
{
    int i = step->classifier;
    struct guard_check *check = subject->check;
    struct guard_event *event = &check->event;
    const struct classifier *classifier = pipeline->classifiers[i];
    const struct status *status = &check->status[i];
    hazard_set wanted = step->categories & subject->open & classifier_categories(classifier);
    if (status->code != STATUS_OK) {
        event->timed_out = event->timed_out || status->code == STATUS_TIMEOUT;
        note_error(event, classifier, status->message, "");
        return;
    }
    for (int c = 0; c < HAZARD_COUNT; c++) {
        enum hazard_category category = (enum hazard_category)c;
        const struct hazard_score *score = &check->scores[i].of[c];
        if (!(wanted & HAZARD_BIT(c))) continue;
        if (!score->scored) {
            note_error(event, classifier, hazard_get(category)->name, " was not scored");
        } else if (score->probability >= step->band[c].high) {
            check->fired[i] |= HAZARD_BIT(c);
            weigh(event, i, category, score->probability, step->band[c].high);
        } else if (score->probability < step->band[c].low &&
                   pipeline->rules->stage[event->stage].is_cascade) {
            subject->open &= ~HAZARD_BIT(c);
        }
    }
}

static bool is_over_budget(const struct policy_stage *stage, double start)
{
    return stage->budget_ms > 0 && (clock_seconds() - start) * 1000 > stage->budget_ms;
}

/* A cascade that is settled asks no further, and a check that took too long neither. */
static bool is_due(const struct policy_stage *stage, const struct policy_step *step,
                   const struct guard_subject *subject)
{
    const struct guard_event *event = &subject->check->event;
    if (event->timed_out) return false;
    return !stage->is_cascade ||
           (event->verdict != GUARD_BLOCK && (step->categories & subject->open));
}

/* A check that took too long says so, and which classifier was asked when its time was up. */
static void note_timeout(const struct pipeline *pipeline, const struct policy_step *step,
                         struct guard_subject *subject)
{
    struct guard_event *event = &subject->check->event;
    const struct policy_stage *stage = &pipeline->rules->stage[event->stage];
    if (!is_over_budget(stage, subject->start)) return;
    event->timed_out = true;
    snprintf(event->error, sizeof event->error, "%s: timeout: took longer than %g ms",
             classifier_id(pipeline->classifiers[step->classifier]), stage->budget_ms);
}

static void run_step(const struct pipeline *pipeline, const struct policy_step *step,
                     struct guard_subject *subject)
{
    int i = step->classifier;
    struct guard_check *check = subject->check;
    struct guard_event *event = &check->event;
    check->asked[i] = true;
    check->status[i].code =
        score_text(pipeline, event->stage, i, subject, &check->scores[i], &check->status[i]);
    take_scores(pipeline, step, subject);
    note_timeout(pipeline, step, subject);
}

/* A score that is above a threshold blocks whatever else failed.  Without one, a failure, a
 * category that ought to have been scored and was not, and a check that took too long are errors.
 */
static void conclude(struct guard_subject *subject)
{
    struct guard_event *event = &subject->check->event;
    if (event->verdict == GUARD_BLOCK)
        event->error[0] = '\0';
    else if (event->error[0])
        event->verdict = GUARD_ERROR;
}

static void run_steps(const struct pipeline *pipeline, struct guard_subject *subject)
{
    const struct policy_stage *stage = &pipeline->rules->stage[subject->check->event.stage];
    subject->open = ~(hazard_set)0;
    for (int s = 0; s < stage->n_steps; s++)
        if (is_due(stage, &stage->steps[s], subject)) run_step(pipeline, &stage->steps[s], subject);
    conclude(subject);
}

/* ---- the check ---- */

static struct guard_event new_event(const struct pipeline *pipeline, enum guard_stage stage)
{
    return (struct guard_event){.stage = stage,
                                .mode = pipeline->mode,
                                .verdict = GUARD_ALLOW,
                                .action = pipeline->rules->stage[stage].action,
                                .classifier = -1,
                                .n_checks = 1};
}

/* Whether the policy's allow list lets a blocked text through: all of it, or what is left of it
 * without its allowed stretches passes.  What cannot be told is not exempt. */
static bool is_exempt(const struct pipeline *pipeline, enum guard_stage stage,
                      const struct guard_subject *subject)
{
    struct text text = subject->text;
    const struct allow_list *allow = pipeline->rules->allow;
    struct status st = {0};
    struct strbuf masked;
    bool has_allowed, exempt = false;
    if (!allow) return false;
    if (allow_list_exempts_text(allow, text)) return true;
    strbuf_init(&masked, LIMIT_PROMPT_BYTES);
    if (allow_list_mask(allow, text, &masked, &has_allowed, &st) == STATUS_OK && has_allowed) {
        struct guard_check again = {.event = new_event(pipeline, stage)};
        struct guard_subject rest = {.prompt = subject->prompt,
                                     .text = {masked.data, masked.length},
                                     .start = subject->start,
                                     .check = &again};
        run_steps(pipeline, &rest);
        exempt = again.event.verdict == GUARD_ALLOW;
    }
    strbuf_release(&masked);
    return exempt;
}

static bool closes(const struct policy_info *rules, const struct guard_event *event)
{
    return event->timed_out ? rules->blocks_on_timeout : rules->blocks_on_error;
}

static void begin(const struct pipeline *pipeline, enum guard_stage stage,
                  struct guard_subject *subject)
{
    *subject->check = (struct guard_check){.event = new_event(pipeline, stage)};
    subject->open = ~(hazard_set)0;
    subject->start = clock_seconds();
}

/* What an allow list and on_error make of the verdict. */
static void end(const struct pipeline *pipeline, struct guard_subject *subject)
{
    struct guard_check *check = subject->check;
    struct guard_event *event = &check->event;
    if (event->verdict == GUARD_BLOCK && is_exempt(pipeline, event->stage, subject)) {
        event->verdict = GUARD_ALLOW;
        event->exempted = true;
        memset(check->fired, 0, sizeof check->fired);
    }
    event->fires = event->verdict == GUARD_BLOCK ||
                   (event->verdict == GUARD_ERROR && closes(pipeline->rules, event));
}

static void run(const struct pipeline *pipeline, enum guard_stage stage,
                struct guard_subject *subject)
{
    begin(pipeline, stage, subject);
    run_steps(pipeline, subject);
    end(pipeline, subject);
    subject->check->event.seconds = clock_seconds() - subject->start;
}

void guard_check_run(const struct pipeline *pipeline, enum guard_stage stage, struct text prompt,
                     struct text text, struct guard_check *check)
{
    struct guard_subject subject = {.prompt = prompt, .text = text, .check = check};
    run(pipeline, stage, &subject);
}

void guard_check_growing(const struct pipeline *pipeline, struct text prompt, struct text reply,
                         struct classifier_growth **growth, struct guard_check *check)
{
    struct guard_subject subject = {
        .prompt = prompt, .text = reply, .growth = growth, .check = check};
    run(pipeline, GUARD_OUTPUT, &subject);
}

/* ---- many checks ---- */

/* The windows of all texts that a step is due for: what a service is asked several of at a time. */
struct questions {
    struct classifier_item *items;
    size_t n, room;
};

static status_code add_question(struct questions *q, struct text prompt, struct text window,
                                struct status *st)
{
    if (q->n == q->room) {
        size_t room = q->room ? 2 * q->room : 64;
        struct classifier_item *more = realloc(q->items, room * sizeof *more);
        if (!more) return status_no_memory(st, "the texts to classify");
        q->items = more;
        q->room = room;
    }
    q->items[q->n++] = (struct classifier_item){.prompt = prompt, .text = window};
    return STATUS_OK;
}

static status_code ask_windows(const struct pipeline *pipeline, enum guard_stage stage,
                               const struct policy_step *step, struct guard_subject *subjects,
                               int n, struct questions *q, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        struct guard_windows windows =
            guard_windows_start(pipeline, stage, step->classifier, subjects[i].text);
        struct text window;
        if (!is_due(&pipeline->rules->stage[stage], step, &subjects[i])) continue;
        while (code == STATUS_OK && guard_windows_next(&windows, &window))
            code = add_question(q, subjects[i].prompt, window, st);
    }
    if (code == STATUS_OK)
        classifier_score_all(pipeline->classifiers[step->classifier], q->items, q->n);
    return code;
}

/* One text's answers, as score_text() would have found them; returns the next text's first. */
static const struct classifier_item *take_answers(const struct pipeline *pipeline, int classifier,
                                                  struct guard_subject *subject,
                                                  const struct classifier_item *answer)
{
    struct guard_check *check = subject->check;
    struct status *status = &check->status[classifier];
    struct hazard_scores *scores = &check->scores[classifier];
    struct guard_windows windows =
        guard_windows_start(pipeline, check->event.stage, classifier, subject->text);
    struct text window;
    for (bool first = true; guard_windows_next(&windows, &window); first = false, answer++) {
        check->event.seconds += answer->seconds;
        if (status->code != STATUS_OK) continue;
        *status = answer->status;
        if (status->code == STATUS_OK) take_window(&answer->scores, first, scores);
    }
    if (status->code != STATUS_OK) memset(scores, 0, sizeof *scores);
    check->asked[classifier] = true;
    return answer;
}

/* One step of all checks, when its classifier asks several things at a time. */
static status_code run_step_together(const struct pipeline *pipeline, enum guard_stage stage,
                                     const struct policy_step *step, struct guard_subject *subjects,
                                     int n, struct status *st)
{
    struct questions q = {0};
    status_code code = ask_windows(pipeline, stage, step, subjects, n, &q, st);
    const struct classifier_item *answer = q.items;
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        if (!is_due(&pipeline->rules->stage[stage], step, &subjects[i])) continue;
        answer = take_answers(pipeline, step->classifier, &subjects[i], answer);
        take_scores(pipeline, step, &subjects[i]);
    }
    free(q.items);
    return code;
}

/* A step that is not worth asking together. */
static void run_step_apart(const struct pipeline *pipeline, const struct policy_step *step,
                           struct guard_subject *subject)
{
    double start = clock_seconds();
    if (!is_due(&pipeline->rules->stage[subject->check->event.stage], step, subject)) return;
    run_step(pipeline, step, subject);
    subject->check->event.seconds += clock_seconds() - start;
}

static bool asks(const struct pipeline *pipeline, const struct policy_step *step)
{
    return classifier_parallel(pipeline->classifiers[step->classifier]) > 1;
}

/* What depends on the clock must not depend on what else is asked at the same time: where there is
 * a budget, texts wait for each other. */
static bool is_worth_it(const struct pipeline *pipeline, const struct policy_stage *stage, int n)
{
    bool asks_several = false;
    for (int s = 0; s < stage->n_steps; s++)
        asks_several = asks_several || asks(pipeline, &stage->steps[s]);
    return n > 1 && asks_several && !(stage->budget_ms > 0);
}

status_code guard_check_run_all(const struct pipeline *pipeline, enum guard_stage stage,
                                struct guard_subject *subjects, int n, struct status *st)
{
    const struct policy_stage *rules = &pipeline->rules->stage[stage];
    if (!is_worth_it(pipeline, rules, n)) {
        for (int i = 0; i < n; i++) run(pipeline, stage, &subjects[i]);
        return STATUS_OK;
    }
    status_code code = STATUS_OK;
    for (int i = 0; i < n; i++) begin(pipeline, stage, &subjects[i]);
    for (int s = 0; s < rules->n_steps && code == STATUS_OK; s++) {
        const struct policy_step *step = &rules->steps[s];
        if (asks(pipeline, step))
            code = run_step_together(pipeline, stage, step, subjects, n, st);
        else
            for (int i = 0; i < n; i++) run_step_apart(pipeline, step, &subjects[i]);
    }
    for (int i = 0; i < n && code == STATUS_OK; i++) {
        double start = clock_seconds();
        conclude(&subjects[i]);
        end(pipeline, &subjects[i]);
        subjects[i].check->event.seconds += clock_seconds() - start;
    }
    return code;
}
