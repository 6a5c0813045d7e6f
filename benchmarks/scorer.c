#include "benchmarks/scorer.h"

#include <math.h>
#include <string.h>

#include "benchmarks/task.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

static enum outcome judge(bool correct, bool extracted, const struct reply *reply)
{
    if (correct) return OUTCOME_CORRECT;
    if (!utf8_strip(reply->text).length) return OUTCOME_EMPTY;
    if (reply->truncated) return OUTCOME_TRUNCATED;
    return extracted ? OUTCOME_WRONG : OUTCOME_EXTRACTION_FAILED;
}

static status_code score_extraction(const struct answer_checker *checker, int index,
                                    struct text target, const struct reply *reply,
                                    struct arena *arena, struct metric_value *out,
                                    struct status *st)
{
    struct strbuf text;
    bool found, equal = false;
    strbuf_init(&text, 3 * (size_t)LIMIT_REPLY_BYTES);
    status_code code = answer_checker_extract(checker, index, reply->text, &text, &found, st);
    struct text extracted = {text.data, text.length};
    if (code == STATUS_OK) code = answer_checker_matches(checker, extracted, target, &equal, st);
    if (code == STATUS_OK) {
        *out = (struct metric_value){
            .metric = "exact_match",
            .extraction = answer_checker_rule(checker, index)->name,
            .value = equal ? 1 : 0,
            .outcome = judge(equal, found, reply),
            .extracted = {arena_strndup(arena, text.data, text.length), text.length},
        };
        if (!out->extracted.data) code = status_no_memory(st, "an extracted answer");
    }
    strbuf_release(&text);
    return code;
}

status_code score_exact_match(const struct task_instance *instance, int64_t doc_id,
                              const struct reply *reply, struct arena *arena, struct score *out,
                              struct status *st)
{
    const struct task *task = task_instance_info(instance)->ref->task;
    const struct answer_checker *checker = task_instance_checker(instance);
    *out = (struct score){.n_values = answer_checker_count(checker)};
    BUG_IF(out->n_values > SCORE_MAX_VALUES);
    struct strbuf target;
    strbuf_init(&target, LIMIT_PROMPT_BYTES);
    task->doc_to_target(task, task_instance_document(instance, doc_id), &target);
    status_code code = strbuf_check(&target, "target", st);
    for (int i = 0; i < out->n_values && code == STATUS_OK; i++)
        code = score_extraction(checker, i, (struct text){target.data, target.length}, reply, arena,
                                &out->values[i], st);
    out->outcome = out->values[0].outcome;
    strbuf_release(&target);
    return code;
}

static void set_accuracy(struct score *out, bool correct, enum outcome outcome)
{
    *out = (struct score){.outcome = outcome, .n_values = 1};
    out->values[0] = (struct metric_value){
        .metric = "acc", .extraction = "none", .value = correct ? 1 : 0, .outcome = outcome};
}

status_code score_accuracy(const struct task_instance *instance, int64_t doc_id,
                           const double *logprobs, int n, struct score *out, struct status *st)
{
    const struct task *task = task_instance_info(instance)->ref->task;
    const struct document *doc = task_instance_document(instance, doc_id);
    struct text choices[TASK_MAX_CHOICES];
    int gold, best = 0;
    int expected = task->doc_to_choice(task, doc, choices, &gold);
    if (n != expected)
        return status_set(st, STATUS_BAD_INPUT, "%d log-probabilities for %d choices", n, expected);
    for (int i = 0; i < n; i++) {
        if (isnan(logprobs[i]))
            return status_set(st, STATUS_BAD_INPUT,
                              "the log-probability of choice %d is not a number", i);
        if (logprobs[i] > logprobs[best]) best = i;
    }
    set_accuracy(out, best == gold, best == gold ? OUTCOME_CORRECT : OUTCOME_WRONG);
    return STATUS_OK;
}

/* The index of the choice whose text the reply begins with, or -1.  A letter that begins a longer
 * word is none: "A" and "B." answer, "Because" does not. */
static int named_choice(struct text reply, const struct text *choices, int n)
{
    reply = utf8_strip(reply);
    for (int i = 0; i < n; i++) {
        size_t length = choices[i].length;
        if (!length || reply.length < length || memcmp(reply.data, choices[i].data, length) != 0)
            continue;
        char next = reply.length > length ? reply.data[length] : '\0';
        bool goes_on = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') ||
                       (next >= '0' && next <= '9') || next == '_' || next == '\'' ||
                       (unsigned char)next >= 0x80;
        if (!goes_on) return i;
    }
    return -1;
}

status_code score_choice_letter(const struct task_instance *instance, int64_t doc_id,
                                const struct reply *reply, struct arena *arena, struct score *out,
                                struct status *st)
{
    const struct task *task = task_instance_info(instance)->ref->task;
    struct text choices[TASK_MAX_CHOICES];
    int gold;
    int n = task->doc_to_choice(task, task_instance_document(instance, doc_id), choices, &gold);
    int named = named_choice(reply->text, choices, n);
    set_accuracy(out, named == gold, judge(named == gold, named >= 0, reply));
    struct text extracted = named >= 0 ? choices[named] : text_of(EXTRACTION_INVALID);
    out->values[0].extracted =
        (struct text){arena_strndup(arena, extracted.data, extracted.length), extracted.length};
    return out->values[0].extracted.data ? STATUS_OK : status_no_memory(st, "an extracted answer");
}

static const char *find(struct text haystack, struct text needle)
{
    if (needle.length > haystack.length) return NULL;
    const char *last = haystack.data + (haystack.length - needle.length);
    for (const char *p = haystack.data; p <= last; p++) {
        p = memchr(p, needle.data[0], (size_t)(last - p) + 1);
        if (!p) return NULL;
        if (memcmp(p, needle.data, needle.length) == 0) return p;
    }
    return NULL;
}

struct text apply_stops(struct text reply, const struct text *until, int n_until)
{
    for (int i = 0; i < n_until; i++) {
        const char *at = until[i].length ? find(reply, until[i]) : NULL;
        if (at) reply.length = (size_t)(at - reply.data);
    }
    return reply;
}
