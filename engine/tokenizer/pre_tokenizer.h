/* pre_tokenizer.h - normalized text to the words that are split into pieces one by one.  Internal.
 *
 *   text -> step, step, ... -> words, from left to right
 *
 * A step cuts each word at the matches of a pattern, or rewrites it.  Steps and their meaning are
 * those of Hugging Face's tokenizers; {0} leaves text as one word.  Patterns belong to the
 * pre-tokenizer, strings in it to the tokenizer's arena.
 */
#ifndef ASSAY_PRE_TOKENIZER_H
#define ASSAY_PRE_TOKENIZER_H

#include "engine/base/regex.h"
#include "engine/base/sha256.h"
#include "engine/tokenizer/normalizer.h"

#define PRE_TOKENIZER_MAX_STEPS 8

/* What becomes of a match (SplitDelimiterBehavior). */
enum split_behaviour {
    SPLIT_ISOLATED,             /* a word of its own */
    SPLIT_REMOVED,              /* dropped */
    SPLIT_CONTIGUOUS,           /* one word with the matches beside it */
    SPLIT_MERGED_WITH_PREVIOUS, /* the end of the word before it */
    SPLIT_MERGED_WITH_NEXT      /* the start of the word after it */
};

struct pre_tokenizer_step {
    struct regex *regex;                  /* NULL for a rewriting step */
    char *pattern;                        /* as it was given, NUL-terminated */
    char pattern_sha256[SHA256_HEX_SIZE]; /* of the pattern as it was given; names it to GGUF */
    enum split_behaviour behaviour;
    bool invert; /* what lies between the matches is the match */
    struct normalizer rewrite;
};

struct pre_tokenizer {
    struct pre_tokenizer_step steps[PRE_TOKENIZER_MAX_STEPS];
    int n_steps;
};

/* GPT-2's pattern (encoder.py), in the words of Oniguruma. */
#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* Adds a step that cuts.  `pattern` is one of Oniguruma, as Hugging Face's Rust library takes it.
 * STATUS_UNSUPPORTED for what means something else here. */
status_code pre_tokenizer_add_split(struct pre_tokenizer *pre, struct text pattern,
                                    enum split_behaviour behaviour, bool invert,
                                    struct status *st) MUST_CHECK;

/* Adds a step that rewrites every word on its own, to be filled in. */
status_code pre_tokenizer_add_rewrite(struct pre_tokenizer *pre, struct normalizer **rewrite,
                                      struct status *st) MUST_CHECK;
void pre_tokenizer_release(struct pre_tokenizer *pre);

/* A pattern of Oniguruma to one of PCRE2 that means the same: \s is Unicode's White_Space there. */
status_code pre_tokenizer_translate(struct strbuf *out, struct text pattern,
                                    struct status *st) MUST_CHECK;

/* The same, compiled. */
status_code pre_tokenizer_compile(struct regex **out, struct text pattern,
                                  struct status *st) MUST_CHECK;

/* The buffers of walks, one after the other. */
struct pre_tokenizer_scratch {
    struct strbuf rewritten[PRE_TOKENIZER_MAX_STEPS][2];
};
void pre_tokenizer_scratch_init(struct pre_tokenizer_scratch *scratch, size_t max_bytes);
void pre_tokenizer_scratch_release(struct pre_tokenizer_scratch *scratch);

typedef status_code pre_tokenizer_word(void *user, struct text word, struct status *st);

/* Calls on_word for each word.  Invalid bytes are cut out of the text first, as words. */
status_code pre_tokenizer_run(const struct pre_tokenizer *pre, struct text text, bool is_first,
                              struct pre_tokenizer_scratch *scratch, pre_tokenizer_word *on_word,
                              void *user, struct status *st) MUST_CHECK;

#endif
