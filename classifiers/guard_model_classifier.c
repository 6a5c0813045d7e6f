/* A language model asked whether a text is safe: the log-odds of the unsafe answer against the safe
 * one, read from the logits behind the filled template, or where a generated answer has its verdict
 * (guard_answer.h).  Answers are generated greedily. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/guard_answer.h"
#include "engine/base/limits.h"
#include "engine/engine.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/scheduler.h"

/* The first tokens of the labels. */
struct label_ids {
    int32_t unsafe[GUARD_MAX_LABELS], safe[GUARD_MAX_LABELS];
    int n_unsafe, n_safe;
};

struct guard_model {
    struct classifier base;
    struct guard_definition *definition;
    struct engine *engine;
    struct scheduler *scheduler; /* under the mutex: it keeps the prefix that policies share */
    pthread_mutex_t *mutex;
    struct label_ids labels; /* of the policies */
    struct label_ids answers[GUARD_MAX_ANSWERS];
};

/* ---- one evaluation ---- */

/* log(exp(a) + ...) over some logits; one of them is itself, to the bit. */
static double log_sum(const float *logits, const int32_t *ids, int n)
{
    double max = (double)-INFINITY, sum = 0;
    for (int i = 0; i < n; i++) max = fmax(max, (double)logits[ids[i]]);
    for (int i = 0; i < n; i++) sum += exp((double)logits[ids[i]] - max);
    return max + log(sum);
}

struct next_token {
    const struct label_ids *labels; /* NULL: no verdict comes next */
    int n_vocab;
    double margin;
    int32_t greedy;
};

static int32_t read_next(void *user, int position, const float *logits)
{
    struct next_token *next = user;
    const struct label_ids *labels = next->labels;
    (void)position;
    next->greedy = logits_argmax(logits, next->n_vocab);
    if (labels)
        next->margin = log_sum(logits, labels->unsafe, labels->n_unsafe) -
                       log_sum(logits, labels->safe, labels->n_safe);
    return SCHEDULER_CONTINUE;
}

/* What follows each of n sequences of ids, which are computed side by side. */
static status_code evaluate(const struct guard_model *g, const struct token_list *ids, int n,
                            const struct label_ids *labels, struct next_token *out,
                            struct status *st)
{
    struct scheduler_job jobs[GUARD_MAX_POLICIES] = {0};
    int n_context = scheduler_context(g->scheduler);
    for (int i = 0; i < n; i++) {
        int count = (int)ids[i].count;
        if (count > n_context)
            return status_set(st, STATUS_LIMIT, "the guard's prompt has %d tokens, its context %d",
                              count, n_context);
        out[i] =
            (struct next_token){.labels = labels, .n_vocab = engine_get_info(g->engine)->n_vocab};
        jobs[i] = (struct scheduler_job){.tokens = ids[i].ids,
                                         .n_tokens = count,
                                         .first_logits = count - 1,
                                         .max_tokens = count,
                                         .on_logits = read_next,
                                         .user = &out[i]};
    }
    status_code code = scheduler_run(g->scheduler, jobs, n, st);
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if ((code = jobs[i].status.code) != STATUS_OK) *st = jobs[i].status;
    if (code == STATUS_OK) code = engine_check_files(g->engine, st);
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if (isnan(out[i].margin))
            code = status_set(st, STATUS_BAD_INPUT, "the guard model answered NaN");
    return code;
}

/* ---- the two ways of asking ---- */

static status_code score_policies(const struct guard_model *g, const struct guard_template *parts,
                                  const struct guard_texts *texts, bool is_response,
                                  struct hazard_scores *out, struct status *st)
{
    const struct guard_definition *d = g->definition;
    struct token_list ids[GUARD_MAX_POLICIES] = {0};
    struct next_token next[GUARD_MAX_POLICIES];
    status_code code = STATUS_OK;
    for (int i = 0; i < d->n_policies && code == STATUS_OK; i++) {
        struct guard_texts filled = *texts;
        filled.policy = is_response ? d->policies[i].response : d->policies[i].prompt;
        code =
            guard_definition_encode(parts, &filled, engine_get_tokenizer(g->engine), &ids[i], st);
    }
    if (code == STATUS_OK) code = evaluate(g, ids, d->n_policies, &g->labels, next, st);
    for (int i = 0; i < d->n_policies; i++) {
        token_list_release(&ids[i]);
        if (code == STATUS_OK)
            out->of[d->policies[i].category] = guard_answer_score(next[i].margin);
    }
    return code;
}

static status_code generate(const struct guard_model *g, struct token_list *ids,
                            struct guard_answer_reader *reader, struct status *st)
{
    const struct guard_definition *d = g->definition;
    const struct tokenizer *tokenizer = engine_get_tokenizer(g->engine);
    status_code code = STATUS_OK;
    for (int n = 0; code == STATUS_OK && !guard_answer_done(reader); n++) {
        if (n == d->max_answer_tokens)
            return status_set(st, STATUS_BAD_INPUT, "the guard's answer has no end in %d tokens",
                              n);
        const struct guard_answer *due = guard_answer_due(reader);
        struct next_token next;
        code = evaluate(g, ids, 1, due ? &g->answers[due - d->answers] : NULL, &next, st);
        if (code != STATUS_OK) return code;
        if (due) guard_answer_margin(reader, next.margin);
        if (tokenizer_is_end(tokenizer, next.greedy)) return guard_answer_end(reader, st);
        code = guard_answer_add(reader, tokenizer_piece(tokenizer, next.greedy), st);
        if (code == STATUS_OK) code = token_list_append(ids, next.greedy, st);
    }
    return code;
}

static status_code score_answer(const struct guard_model *g, const struct guard_template *parts,
                                const struct guard_texts *texts, bool is_response,
                                struct hazard_scores *out, struct status *st)
{
    struct token_list ids = {0};
    struct guard_answer_reader reader;
    guard_answer_init(&reader, g->definition, is_response);
    status_code code =
        guard_definition_encode(parts, texts, engine_get_tokenizer(g->engine), &ids, st);
    if (code == STATUS_OK) code = generate(g, &ids, &reader, st);
    token_list_release(&ids);
    if (code == STATUS_OK) *out = reader.scores;
    return code;
}

/* Without a prompt the text is one itself. */
static const struct guard_template *choose_template(const struct guard_definition *d,
                                                    struct text prompt, struct text text,
                                                    struct guard_texts *texts)
{
    bool is_prompt = prompt.length == 0;
    *texts = is_prompt ? (struct guard_texts){.prompt = text}
                       : (struct guard_texts){.prompt = prompt, .response = text};
    return is_prompt ? &d->prompt : &d->response;
}

static status_code guard_score(const struct classifier *classifier, struct text prompt,
                               struct text text, struct hazard_scores *out, struct status *st)
{
    const struct guard_model *g = (const struct guard_model *)classifier;
    const struct guard_definition *d = g->definition;
    struct guard_texts texts;
    const struct guard_template *parts = choose_template(d, prompt, text, &texts);
    if (!parts->n_parts)
        return status_set(st, STATUS_UNSUPPORTED, "%s has no template for a %s", d->name,
                          prompt.length ? "reply" : "prompt");
    struct hazard_scores scores = {0};
    status_code code = STATUS_OK;
    pthread_mutex_lock(g->mutex);
    bool is_response = prompt.length > 0;
    if (d->n_answers) code = score_answer(g, parts, &texts, is_response, &scores, st);
    if (d->n_policies && code == STATUS_OK)
        code = score_policies(g, parts, &texts, is_response, &scores, st);
    pthread_mutex_unlock(g->mutex);
    if (code == STATUS_OK) *out = scores;
    return code;
}

static void guard_free(struct classifier *classifier)
{
    struct guard_model *g = (struct guard_model *)classifier;
    scheduler_free(g->scheduler);
    engine_free(g->engine);
    guard_definition_free(g->definition);
    if (g->mutex) pthread_mutex_destroy(g->mutex);
    free(g->mutex);
    free(g);
}

static const struct classifier_vtable table = {.score = guard_score, .free = guard_free};

/* ---- opening ---- */

/* The token that a label starts with where it follows other text. */
static status_code find_label(const struct guard_model *g, const char *label, bool must_be_one,
                              int32_t *out, struct status *st)
{
    struct token_list ids = {0};
    status_code code = tokenizer_encode(engine_get_tokenizer(g->engine), text_of(label),
                                        TOKENIZE_CONTINUED, &ids, st);
    if (code == STATUS_OK && (must_be_one ? ids.count != 1 : ids.count < 1))
        code = status_set(st, STATUS_BAD_INPUT,
                          "the answer \"%s\" is %zu tokens in this model's vocabulary, not one",
                          label, ids.count);
    if (code == STATUS_OK) *out = ids.ids[0];
    token_list_release(&ids);
    return code;
}

/* An answer of one token must be one; of a generated answer the first token is weighed, and the
 * text says whether the rest followed. */
static status_code find_labels(const struct guard_model *g, const struct guard_labels *labels,
                               bool must_be_one, struct label_ids *out, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < labels->n_unsafe && code == STATUS_OK; i++)
        code = find_label(g, labels->unsafe[i], must_be_one, &out->unsafe[out->n_unsafe++], st);
    for (int i = 0; i < labels->n_safe && code == STATUS_OK; i++)
        code = find_label(g, labels->safe[i], must_be_one, &out->safe[out->n_safe++], st);
    for (int i = 0; i < out->n_unsafe && code == STATUS_OK; i++)
        for (int j = 0; j < out->n_safe && code == STATUS_OK; j++)
            if (out->unsafe[i] == out->safe[j])
                code = status_set(st, STATUS_BAD_INPUT,
                                  "the answers \"%s\" and \"%s\" start with the same token in "
                                  "this model's vocabulary",
                                  labels->unsafe[i], labels->safe[j]);
    return code;
}

static status_code find_all_labels(struct guard_model *g, struct status *st)
{
    const struct guard_definition *d = g->definition;
    status_code code = STATUS_OK;
    if (d->n_policies) code = find_labels(g, &d->labels, true, &g->labels, st);
    for (int i = 0; i < d->n_answers && code == STATUS_OK; i++)
        if (!d->answers[i].is_names)
            code = find_labels(g, &d->answers[i].labels, false, &g->answers[i], st);
    return code;
}

static status_code open_model(struct guard_model *g, const char *path, struct status *st)
{
    const struct engine_options options = {.model_path = path};
    status_code code = engine_open(&g->engine, &options, st);
    if (code != STATUS_OK) return code;
    if (!engine_get_tokenizer(g->engine))
        return status_set(st, STATUS_NOT_FOUND, "%s: the model has no tokenizer", path);
    if ((code = find_all_labels(g, st)) != STATUS_OK) return status_prefix(st, "%s", path);
    int n_policies = g->definition->n_policies;
    const struct scheduler_options scheduler = {.max_sequences = n_policies ? n_policies : 1};
    return scheduler_create(&g->scheduler, g->engine, &scheduler, st);
}

static hazard_set judged_categories(const struct guard_definition *d)
{
    hazard_set set = 0;
    for (int i = 0; i < d->n_policies; i++) set |= HAZARD_BIT(d->policies[i].category);
    for (int i = 0; i < d->n_answers; i++) {
        const struct guard_answer *a = &d->answers[i];
        if (!a->is_names) set |= HAZARD_BIT(a->category);
        for (int n = 0; n < a->n_names; n++)
            if (a->names[n].has_category) set |= HAZARD_BIT(a->names[n].category);
    }
    return set;
}

/* The definition and the weights together decide the scores. */
static status_code name_guard(struct guard_model *g, struct status *st)
{
    char weights[SHA256_HEX_SIZE], both[2 * SHA256_HEX_SIZE];
    status_code code = engine_weights_sha256(g->engine, weights, st);
    if (code != STATUS_OK) return code;
    snprintf(both, sizeof both, "%s %s", g->definition->sha256, weights);
    sha256_text(text_of(both), g->base.sha256);
    snprintf(g->base.id, sizeof g->base.id, "guard/%s-%d@%.12s", g->definition->name,
             g->definition->version, weights);
    g->base.categories = judged_categories(g->definition);
    return STATUS_OK;
}

static status_code make_mutex(struct guard_model *g, struct status *st)
{
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    if (!mutex || pthread_mutex_init(mutex, NULL) != 0) {
        free(mutex);
        return status_no_memory(st, "a guard model");
    }
    g->mutex = mutex;
    return STATUS_OK;
}

status_code guard_model_classifier_open(struct classifier **out, const char *argument,
                                        struct status *st)
{
    const char *equals = argument ? strchr(argument, '=') : NULL;
    char name[1024];
    if (!equals || equals == argument || !equals[1] || (size_t)(equals - argument) >= sizeof name)
        return status_set(
            st, STATUS_USAGE,
            "classifier guard needs a definition and a model: guard:shieldgemma=MODEL");
    snprintf(name, sizeof name, "%.*s", (int)(equals - argument), argument);
    struct guard_model *g = calloc(1, sizeof *g);
    if (!g) return status_no_memory(st, "a guard model");
    g->base.vtable = &table;
    status_code code = make_mutex(g, st);
    if (code == STATUS_OK) code = guard_definition_load(&g->definition, name, st);
    if (code == STATUS_OK) code = open_model(g, equals + 1, st);
    if (code == STATUS_OK) code = name_guard(g, st);
    if (code != STATUS_OK) {
        guard_free(&g->base);
        return code;
    }
    *out = &g->base;
    return STATUS_OK;
}
