/* guard_definition.h - how to ask a guard model about a text, read from JSON.
 *
 *   "shieldgemma" or a file -> guard_definition_load() -> templates, labels, policies
 *   template + texts -> guard_definition_encode() -> token ids
 *
 * A `guard_definition` is data: the format is in classifiers/guards/README.md.  It is immutable and
 * may be shared.  Those who only classify use classifier.h.
 */
#ifndef ASSAY_GUARD_DEFINITION_H
#define ASSAY_GUARD_DEFINITION_H

#include "classifiers/taxonomy.h"
#include "engine/base/arena.h"
#include "engine/base/sha256.h"
#include "engine/tokenizer/tokenizer.h"

#define GUARD_MAX_PARTS         48
#define GUARD_MAX_POLICIES      16
#define GUARD_MAX_LABELS        4 /* spellings of one answer */
#define GUARD_MAX_ANSWERS       8
#define GUARD_MAX_NAMES         32
#define GUARD_MAX_ANSWER_TOKENS 256

enum guard_part_kind {
    PART_BOS,
    PART_TEXT,
    PART_TOKEN,
    PART_TOKEN_IF_ANY, /* text where the vocabulary has no such token */
    PART_PROMPT,
    PART_RESPONSE,
    PART_POLICY
};

struct guard_part {
    enum guard_part_kind kind;
    bool trims;       /* a slot: without the white space around what fills it */
    const char *text; /* PART_TEXT: the literal; PART_TOKEN*: its spelling */
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

/* The texts that mean unsafe and safe, where either may be spelled in several ways. */
struct guard_labels {
    const char *unsafe[GUARD_MAX_LABELS], *safe[GUARD_MAX_LABELS];
    int n_unsafe, n_safe;
};

/* One thing that is read from an answer of several tokens: a verdict, or a list of names. */
struct guard_answer {
    bool for_prompt, for_response; /* which template's answer it is in */
    const char *after;             /* the line it is on starts so; "" is the next line whole */
    bool is_names;
    struct guard_labels labels;    /* a verdict */
    enum hazard_category category; /* a verdict's */
    bool only_if_unsafe;           /* names: not there when the last verdict was safe */
    struct {
        const char *name;
        bool has_category;
        enum hazard_category category;
    } names[GUARD_MAX_NAMES];
    int n_names;
};

struct guard_definition {
    const char *name;
    int version;
    const char *licence;
    struct guard_template prompt, response;
    /* Either policies, each an evaluation whose answer is the first token ... */
    struct guard_labels labels;
    struct guard_policy_text policies[GUARD_MAX_POLICIES];
    int n_policies;
    /* ... or answers, read in this order from a text of so many tokens at most. */
    struct guard_answer answers[GUARD_MAX_ANSWERS];
    int n_answers, max_answer_tokens;
    char sha256[SHA256_HEX_SIZE]; /* of the file's bytes */
    struct arena arena;           /* holds the texts */
};

/* The definitions inside the program, by index; NULL behind the last. */
const char *guard_definition_name(size_t index);

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

/* The SHA-256 of the rendered template with its slots spelled {prompt}, {response} and {policy} and
 * BOS as {bos}: two definitions ask in the same bytes when these agree. */
status_code guard_definition_template_sha256(const struct guard_template *parts,
                                             char hex[SHA256_HEX_SIZE],
                                             struct status *st) MUST_CHECK;

#endif
