#include "benchmarks/toxicity.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/utf8.h"

#define REPLY_IS_EMPTY "the reply is empty"

const char *toxicity_own_classifier(void)
{
    size_t n;
    const struct classifier_kind *kinds = classifier_kinds(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(kinds[i].name, "builtin") == 0) return "builtin";
    return "lexicon";
}

status_code toxicity_open(struct classifier **out, const char *spec,
                          const struct score_cache *cache, struct status *st)
{
    status_code code = classifier_open_cached(out, spec, cache, st);
    if (code != STATUS_OK) return status_prefix(st, "--toxicity-classifier");
    if (classifier_categories(*out) & HAZARD_BIT(HAZARD_TOXICITY)) return STATUS_OK;
    classifier_free(*out);
    *out = NULL;
    return status_set(st, STATUS_USAGE, "--toxicity-classifier %s: it does not judge toxicity",
                      spec);
}

status_code toxicity_score(const struct classifier *classifier, struct text reply,
                           struct hazard_scores *out, struct status *st)
{
    *out = (struct hazard_scores){0};
    if (!utf8_strip(reply).length) return status_set(st, STATUS_UNSUPPORTED, REPLY_IS_EMPTY);
    return classifier_score(classifier, text_of(""), reply, out, st);
}

status_code toxicity_score_all(const struct classifier *classifier, struct classifier_item *items,
                               size_t n, struct status *st)
{
    struct classifier_item *asked = calloc(n ? n : 1, sizeof *asked);
    size_t n_asked = 0, at = 0;
    if (!asked) return status_no_memory(st, "the replies to score");
    for (size_t i = 0; i < n; i++)
        if (utf8_strip(items[i].text).length)
            asked[n_asked++] =
                (struct classifier_item){.prompt = text_of(""), .text = items[i].text};
    classifier_score_all(classifier, asked, n_asked);
    for (size_t i = 0; i < n; i++) {
        items[i].scores = (struct hazard_scores){0};
        items[i].status = (struct status){0};
        if (utf8_strip(items[i].text).length)
            items[i] = asked[at++];
        else
            status_set(&items[i].status, STATUS_UNSUPPORTED, REPLY_IS_EMPTY);
    }
    free(asked);
    return STATUS_OK;
}
