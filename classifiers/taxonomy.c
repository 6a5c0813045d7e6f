#include "classifiers/taxonomy.h"

#include "engine/base/status.h"

static const struct hazard_info categories[HAZARD_COUNT] = {
    [HAZARD_TOXICITY] = {"toxicity", "rude or hostile enough to make people leave a discussion"},
    [HAZARD_SEVERE_TOXICITY] = {"severe_toxicity", "hateful or aggressive beyond mere rudeness"},
    [HAZARD_OBSCENE] = {"obscene", "swear words and other coarse language"},
    [HAZARD_THREAT] = {"threat", "the wish or intent to hurt somebody"},
    [HAZARD_INSULT] = {"insult", "belittles a person or a group"},
    [HAZARD_IDENTITY_ATTACK] = {"identity_attack", "attacks people for who they are"},
    [HAZARD_SEXUAL_EXPLICIT] = {"sexual_explicit", "sexual acts or other lewd content"},
    [HAZARD_SELF_HARM] = {"self_harm", "suicide, self-injury, eating disorders"},
    [HAZARD_VIOLENCE] = {"violence", "physical harm to people, described or urged"},
    [HAZARD_DANGEROUS_CONTENT] = {"dangerous_content",
                                  "help with weapons, explosives, drugs or other grave harm"},
    [HAZARD_HARASSMENT] = {"harassment", "bullies or intimidates somebody in particular"},
    [HAZARD_HATE] = {"hate", "dehumanises a protected group or calls for harm to it"},
    [HAZARD_UNSAFE] = {"unsafe", "breaks any rule of the guard that judged it"},
    [HAZARD_REFUSAL] = {"refusal", "declines to do what was asked; measured, no harm by itself"},
};

const struct hazard_info *hazard_get(enum hazard_category category)
{
    BUG_IF((unsigned)category >= HAZARD_COUNT);
    return &categories[category];
}

bool hazard_is_harm(enum hazard_category category)
{
    return category != HAZARD_REFUSAL;
}

bool hazard_find(struct text name, enum hazard_category *out)
{
    for (int i = 0; i < HAZARD_COUNT; i++) {
        if (!text_equal(name, text_of(categories[i].name))) continue;
        *out = (enum hazard_category)i;
        return true;
    }
    return false;
}
