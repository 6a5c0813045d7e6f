/* guard_definition.h - how to ask a guard model about a text, read from JSON.
 *
 *   "shieldgemma" or a file -> guard_definition_load() -> templates, labels, policies
 *   template + texts -> guard_definition_encode() -> token ids
 *
 * A `guard_definition` is data: the format is in classifiers/guards/README.md.  It is immutable and
 * may be shared.  Used inside classifiers/ only.
 */
#ifndef ASSAY_GUARD_DEFINITION_H
#define ASSAY_GUARD_DEFINITION_H

#include "classifiers/taxonomy.h"
#include "engine/base/arena.h"
#include "engine/base/sha256.h"
#include "engine/tokenizer/tokenizer.h"

#define GUARD_MAX_PARTS    32
#define GUARD_MAX_POLICIES 16

enum guard_part_kind { PART_BOS, PART_TEXT, PART_TOKEN, PART_PROMPT, PART_RESPONSE, PART_POLICY };

struct guard_part {
    enum guard_part_kind kind;
    const char *text; /* PART_TEXT: the literal; PART_TOKEN: its spelling */
    size_t length;
};

struct guard_template {
    struct guard_part parts[GUARD_MAX_PARTS];
    int n_parts; /* 0: the guard has no such template */
};

struct guard_policy_text {
    enum hazard_category category;
    struct text prompt, response; /* what the slot `policy` holds in each template */
};

struct guard_definition {
    const char *name;
    int version;
    struct guard_template prompt, response;
    const char *unsafe, *safe;
    struct guard_policy_text policies[GUARD_MAX_POLICIES];
    int n_policies;
    char sha256[SHA256_HEX_SIZE]; /* of the file's bytes */
    struct arena arena;           /* holds the texts */
};

/* A definition inside the program by its name, else a file. */
status_code guard_definition_load(struct guard_definition **out, const char *name_or_path,
                                  struct status *st) MUST_CHECK;

/* The same from text at hand; `source` takes the place of the file's name in errors. */
status_code guard_definition_parse(struct guard_definition **out, struct text json,
                                   const char *source, struct status *st) MUST_CHECK;
void guard_definition_free(struct guard_definition *definition);

/* What fills a template's slots. */
struct guard_texts {
    struct text prompt, response, policy;
};

/* Appends the ids of a filled template.  Slots never become control tokens.  Fails where the
 * tokenizer lacks a token that the template names. */
status_code guard_definition_encode(const struct guard_template *parts,
                                    const struct guard_texts *texts,
                                    const struct tokenizer *tokenizer, struct token_list *out,
                                    struct status *st) MUST_CHECK;

/* Appends the filled template as text, control tokens by their spelling: for people and tests. */
void guard_definition_render(const struct guard_template *parts, const struct guard_texts *texts,
                             const char *bos, struct strbuf *out);

#endif
