/* What a reply is worth, as rows: for a run that makes replies, and for one that scores them again.
 */
#include <math.h>

#include "benchmarks/runner_internal.h"
#include "benchmarks/toxicity.h"

/* What the form in which a guard shows a reply is worth under a metric, or NULL. */
static const struct store_delivered *delivered_value(const struct score *delivered,
                                                     const struct metric_value *raw,
                                                     struct store_delivered *out)
{
    for (int v = 0; delivered && v < delivered->n_values; v++) {
        const struct metric_value *value = &delivered->values[v];
        if (strcmp(value->metric, raw->metric) != 0) continue;
        if (strcmp(value->extraction, raw->extraction) != 0) continue;
        *out = (struct store_delivered){value->value, value->outcome};
        return out;
    }
    return NULL;
}

status_code run_put_score(struct runner *r, const struct store_key *key, const struct score *score,
                          const struct score *delivered, struct status *st)
{
    status_code code = STATUS_OK;
    for (int v = 0; v < score->n_values && code == STATUS_OK; v++) {
        struct store_delivered shown;
        const struct store_verdict row = {
            .metric = score->values[v].metric,
            .extraction = score->values[v].extraction,
            .extracted = score->values[v].extracted,
            .value = score->values[v].value,
            .outcome = score->values[v].outcome,
            .delivered = delivered_value(delivered, &score->values[v], &shown),
        };
        code = store_put_verdict(r->store, key, &row, st);
    }
    return code;
}

/* ---- toxicity ---- */

/* The one row that says why a reply has no score. */
static status_code put_unscored(struct runner *r, const struct store_key *key, const char *why,
                                struct status *st)
{
    const struct store_hazard row = {
        .stage = GUARD_OUTPUT,
        .classifier_sha256 = classifier_sha256(r->toxicity),
        .category = "*",
        .logit = (double)NAN,
        .probability = (double)NAN,
        .error = why,
    };
    return store_put_hazard(r->store, key, &row, st);
}

status_code run_put_toxicity(struct runner *r, const struct store_key *key,
                             const struct classifier_item *judged, double *toxicity, bool *known,
                             struct status *st)
{
    const struct hazard_scores *scores = &judged->scores;
    const struct classifier *c = r->toxicity;
    *known = judged->status.code == STATUS_OK;
    if (!*known) return put_unscored(r, key, judged->status.message, st);
    status_code code = STATUS_OK;
    for (int i = 0; i < HAZARD_COUNT && code == STATUS_OK; i++) {
        if (!scores->of[i].scored) continue;
        const struct store_hazard row = {
            .stage = GUARD_OUTPUT,
            .classifier_sha256 = classifier_sha256(c),
            .category = hazard_get((enum hazard_category)i)->name,
            .logit = scores->of[i].logit,
            .probability = scores->of[i].probability,
        };
        code = store_put_hazard(r->store, key, &row, st);
    }
    *toxicity = scores->of[HAZARD_TOXICITY].probability;
    return code;
}

void run_forget_values(struct score *score)
{
    for (int v = 0; v < score->n_values; v++) {
        score->values[v].value = (double)NAN;
        score->values[v].outcome = OUTCOME_BLOCKED_OUTPUT;
        score->values[v].extracted = (struct text){0};
    }
}
