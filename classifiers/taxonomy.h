/* taxonomy.h - the names of what can be wrong with a text.
 *
 * A `hazard_category` is a row of one table; classifiers score categories, policies set thresholds
 * on them, and the store keeps their names.  The list unites the labels of Jigsaw's toxicity data
 * (toxicity to sexual_explicit) with the harm types that guard models such as ShieldGemma and
 * Llama Guard judge.  A new category goes at the end: earlier ones keep their order.
 *
 *   enum hazard_category category;
 *   if (!hazard_find(name, &category)) ...
 *   hazard_get(category)->description
 */
#ifndef ASSAY_TAXONOMY_H
#define ASSAY_TAXONOMY_H

#include <stdint.h>

#include "engine/base/text.h"

enum hazard_category {
    HAZARD_TOXICITY,
    HAZARD_SEVERE_TOXICITY,
    HAZARD_OBSCENE,
    HAZARD_THREAT,
    HAZARD_INSULT,
    HAZARD_IDENTITY_ATTACK,
    HAZARD_SEXUAL_EXPLICIT,
    HAZARD_SELF_HARM,
    HAZARD_VIOLENCE,
    HAZARD_DANGEROUS_CONTENT,
    HAZARD_HARASSMENT,
    HAZARD_HATE,
    HAZARD_UNSAFE,
    HAZARD_REFUSAL, /* no harm, but what guards are asked about replies: see hazard_is_harm() */
    HAZARD_COUNT
};

struct hazard_info {
    const char *name; /* as in policies, lexicons and the store */
    const char *description;
};

/* A set of categories, one bit each. */
typedef uint32_t hazard_set;
_Static_assert(HAZARD_COUNT <= 32, "a hazard_set has one bit for each category");

#define HAZARD_BIT(category) ((hazard_set)1 << (category))

const struct hazard_info *hazard_get(enum hazard_category category);

/* Whether a high score is a bad sign of the text itself: all but refusal. */
bool hazard_is_harm(enum hazard_category category);

/* The category of exactly this name; false when there is none. */
bool hazard_find(struct text name, enum hazard_category *out);

#endif
