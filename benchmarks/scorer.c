#include "benchmarks/scorer.h"

#include <math.h>
#include <string.h>

#include "benchmarks/task.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

enum outcome score_outcome(bool correct, bool extracted, const struct reply *reply)
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
            .outcome = score_outcome(equal, found, reply),
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

int score_majority(const struct score *scores, int k, int value)
{
    int best = 0, best_votes = 0;
    for (int i = 0; i < k; i++) {
        int votes = 0;
        for (int j = 0; j < k; j++)
            votes +=
                text_equal(scores[i].values[value].extracted, scores[j].values[value].extracted);
        if (votes <= best_votes) continue;
        best = i;
        best_votes = votes;
    }
    return best;
}

static int votes_of(const struct task *task, const char *extraction)
{
    for (int e = 0; e < TASK_MAX_EXTRACTIONS && task->extractions[e].name; e++)
        if (!strcmp(task->extractions[e].name, extraction)) return task->extractions[e].votes;
    return 0;
}

status_code score_votes(const struct task_instance *instance, int64_t doc_id, struct score *scores,
                        int n, struct arena *arena, struct status *st)
{
    (void)doc_id;
    (void)arena;
    (void)st;
    const struct task *task = task_instance_info(instance)->ref->task;
    for (int v = 0; v < scores[0].n_values; v++) {
        int votes = votes_of(task, scores[0].values[v].extraction);
        if (!votes) continue;
        int k = votes == VOTES_ALL ? n : votes;
        struct metric_value vote = scores[0].values[v];
        if (k <= n)
            vote = scores[score_majority(scores, k, v)].values[v];
        else
            vote.value = (double)NAN;
        for (int i = 0; i < n; i++) scores[i].values[v] = vote;
    }
    for (int i = 0; i < n; i++) scores[i].outcome = scores[i].values[0].outcome;
    return STATUS_OK;
}

static enum outcome execution_outcome(const struct reply *reply)
{
    enum sandbox_outcome outcome = reply->execution->outcome;
    enum outcome judged = score_outcome(outcome == SANDBOX_PASSED, true, reply);
    if (judged != OUTCOME_WRONG || outcome == SANDBOX_WRONG) return judged;
    return outcome == SANDBOX_TIMEOUT ? OUTCOME_EXECUTION_TIMEOUT : OUTCOME_EXECUTION_FAILED;
}

status_code score_execution(const struct task_instance *instance, int64_t doc_id,
                            const struct reply *reply, struct arena *arena, struct score *out,
                            struct status *st)
{
    (void)doc_id;
    const struct sandbox_result *execution = reply->execution;
    BUG_IF(!execution);
    struct strbuf detail;
    strbuf_init(&detail, 2 * (size_t)SANDBOX_DETAIL_SIZE);
    strbuf_append_str(&detail, sandbox_outcome_name(execution->outcome));
    if (execution->detail[0]) strbuf_appendf(&detail, ": %s", execution->detail);
    *out = (struct score){.outcome = execution_outcome(reply), .n_values = 1};
    out->values[0] = (struct metric_value){
        .metric = task_instance_info(instance)->ref->task->metrics[0].name,
        .extraction = "none",
        .value = execution->outcome == SANDBOX_PASSED ? 1 : 0,
        .outcome = out->outcome,
        .extracted = {arena_strndup(arena, detail.data, detail.length), detail.length},
    };
    strbuf_release(&detail);
    return out->values[0].extracted.data ? STATUS_OK : status_no_memory(st, "a verdict");
}

static struct metric_value accuracy(const char *metric, bool correct, enum outcome outcome)
{
    return (struct metric_value){
        .metric = metric, .extraction = "none", .value = correct ? 1 : 0, .outcome = outcome};
}

/* What a choice's log-probability is divided by. */
static const struct {
    const char *metric;
    bool by_code_points, by_bytes;
} lengths[] = {{"acc", false, false}, {"acc_norm", true, false}, {"acc_bytes", false, true}};
#define N_LENGTHS (sizeof lengths / sizeof lengths[0])

static double length_of(size_t kind, struct text choice)
{
    if (lengths[kind].by_code_points) return (double)utf8_count(choice);
    return lengths[kind].by_bytes ? (double)choice.length : 1;
}

static int likeliest(const double *logprobs, const struct text *choices, int n, size_t kind)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logprobs[i] / length_of(kind, choices[i]) >
            logprobs[best] / length_of(kind, choices[best]))
            best = i;
    return best;
}

#define MC2 "mc2"

/* The true choices' share of the probability that all choices have together. */
static struct metric_value true_share(const double *logprobs, const bool *labels, int n)
{
    double highest = logprobs[0], all = 0, good = 0;
    for (int i = 1; i < n; i++)
        if (logprobs[i] > highest) highest = logprobs[i];
    for (int i = 0; i < n; i++) {
        double weight = exp(logprobs[i] - highest);
        all += weight;
        if (labels[i]) good += weight;
    }
    return (struct metric_value){
        .metric = MC2,
        .extraction = "none",
        .value = good / all,
        .outcome = good > all / 2 ? OUTCOME_CORRECT : OUTCOME_WRONG,
    };
}

status_code score_accuracy(const struct task_instance *instance, int64_t doc_id,
                           const double *logprobs, int n, struct score *out, struct status *st)
{
    const struct task *task = task_instance_info(instance)->ref->task;
    const struct document *doc = task_instance_document(instance, doc_id);
    struct text choices[TASK_MAX_CHOICES];
    int gold;
    int expected = task->doc_to_choice(task, doc, choices, &gold);
    if (n != expected)
        return status_set(st, STATUS_BAD_INPUT, "%d log-probabilities for %d choices", n, expected);
    for (int i = 0; i < n; i++)
        if (isnan(logprobs[i]))
            return status_set(st, STATUS_BAD_INPUT,
                              "the log-probability of choice %d is not a number", i);
    *out = (struct score){0};
    for (int m = 0; m < TASK_MAX_METRICS && task->metrics[m].name; m++) {
        size_t kind = 0;
        BUG_IF(out->n_values == SCORE_MAX_VALUES);
        struct metric_value *value = &out->values[out->n_values++];
        if (strcmp(task->metrics[m].name, MC2) == 0) {
            *value = true_share(logprobs, task->doc_to_labels(task, doc), n);
            continue;
        }
        while (kind < N_LENGTHS && strcmp(lengths[kind].metric, task->metrics[m].name) != 0) kind++;
        BUG_IF(kind == N_LENGTHS);
        bool correct = likeliest(logprobs, choices, n, kind) == gold;
        *value = accuracy(lengths[kind].metric, correct, correct ? OUTCOME_CORRECT : OUTCOME_WRONG);
    }
    out->outcome = out->values[0].outcome;
    return STATUS_OK;
}

status_code score_loglikelihood(const struct task_instance *instance, double logprob,
                                bool is_greedy, struct score *out, struct status *st)
{
    const struct task *task = task_instance_info(instance)->ref->task;
    if (isnan(logprob))
        return status_set(st, STATUS_BAD_INPUT, "the log-probability is not a number");
    *out = (struct score){.outcome = is_greedy ? OUTCOME_CORRECT : OUTCOME_WRONG};
    for (int m = 0; m < TASK_MAX_METRICS && task->metrics[m].name; m++) {
        struct metric_value *value = &out->values[out->n_values++];
        *value = accuracy(task->metrics[m].name, is_greedy, out->outcome);
        if (strcmp(value->metric, "acc") != 0) value->value = logprob;
    }
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
    *out =
        (struct score){.outcome = score_outcome(named == gold, named >= 0, reply), .n_values = 1};
    out->values[0] = accuracy("acc", named == gold, out->outcome);
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
