/* A language model asked whether a text is safe: the probability of the unsafe answer against the
 * safe one, read from the logits of the two after the last token of the filled template. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/guard_definition.h"
#include "engine/base/limits.h"
#include "engine/engine.h"

struct guard_model {
    struct classifier base;
    struct guard_definition *definition;
    struct engine *engine;
    struct session *session; /* under the mutex: it keeps the prefix that policies share */
    pthread_mutex_t *mutex;
    int32_t unsafe, safe; /* ids of the two answers */
};

struct answer_logits {
    int32_t unsafe, safe;
    double margin; /* logit of the unsafe answer less that of the safe one */
};

static void read_margin(void *user, int position, const float *logits)
{
    struct answer_logits *a = user;
    (void)position;
    a->margin = (double)logits[a->unsafe] - (double)logits[a->safe];
}

static status_code score_policy(const struct guard_model *g, const struct guard_template *parts,
                                const struct guard_texts *texts, struct hazard_score *out,
                                struct status *st)
{
    struct token_list ids = {0};
    struct answer_logits answer = {.unsafe = g->unsafe, .safe = g->safe};
    status_code code =
        guard_definition_encode(parts, texts, engine_get_tokenizer(g->engine), &ids, st);
    if (code == STATUS_OK && ids.count > (size_t)session_context(g->session))
        code = status_set(st, STATUS_LIMIT, "the guard's prompt has %zu tokens, its context %d",
                          ids.count, session_context(g->session));
    if (code == STATUS_OK)
        code = session_eval(g->session, ids.ids, (int)ids.count, (int)ids.count - 1, read_margin,
                            &answer, st);
    token_list_release(&ids);
    if (code != STATUS_OK) return code;
    if (isnan(answer.margin))
        return status_set(st, STATUS_BAD_INPUT, "the guard model answered NaN");
    *out = (struct hazard_score){true, answer.margin, 1 / (1 + exp(-answer.margin))};
    return STATUS_OK;
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
    for (int i = 0; i < d->n_policies && code == STATUS_OK; i++) {
        const struct guard_policy_text *policy = &d->policies[i];
        texts.policy = prompt.length ? policy->response : policy->prompt;
        code = score_policy(g, parts, &texts, &scores.of[policy->category], st);
    }
    pthread_mutex_unlock(g->mutex);
    if (code == STATUS_OK) *out = scores;
    return code;
}

static void guard_free(struct classifier *classifier)
{
    struct guard_model *g = (struct guard_model *)classifier;
    session_free(g->session);
    engine_free(g->engine);
    guard_definition_free(g->definition);
    if (g->mutex) pthread_mutex_destroy(g->mutex);
    free(g->mutex);
    free(g);
}

static const struct classifier_vtable table = {.score = guard_score, .free = guard_free};

/* ---- opening ---- */

static status_code find_label(const struct guard_model *g, const char *label, int32_t *out,
                              struct status *st)
{
    struct token_list ids = {0};
    status_code code =
        tokenizer_encode(engine_get_tokenizer(g->engine), text_of(label), TOKENIZE_PLAIN, &ids, st);
    if (code == STATUS_OK && ids.count != 1)
        code = status_set(st, STATUS_BAD_INPUT,
                          "the answer \"%s\" is %zu tokens in this model's vocabulary, not one",
                          label, ids.count);
    if (code == STATUS_OK) *out = ids.ids[0];
    token_list_release(&ids);
    return code;
}

static status_code open_model(struct guard_model *g, const char *path, struct status *st)
{
    const struct engine_options options = {.model_path = path};
    status_code code = engine_open(&g->engine, &options, st);
    if (code != STATUS_OK) return code;
    if (!engine_get_tokenizer(g->engine))
        return status_set(st, STATUS_NOT_FOUND, "%s: the model has no tokenizer", path);
    if ((code = find_label(g, g->definition->unsafe, &g->unsafe, st)) != STATUS_OK ||
        (code = find_label(g, g->definition->safe, &g->safe, st)) != STATUS_OK)
        return status_prefix(st, "%s", path);
    return session_create(&g->session, g->engine, 0, st);
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
    for (int i = 0; i < g->definition->n_policies; i++)
        g->base.categories |= HAZARD_BIT(g->definition->policies[i].category);
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
