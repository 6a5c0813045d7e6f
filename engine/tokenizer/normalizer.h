/* normalizer.h - the rewriting of text before it is split into pieces.  Internal to the tokenizer.
 *
 *   text -> step, step, ... -> text
 *
 * A `normalizer` is a short list of steps; {0} leaves text as it is.  Strings in it belong to the
 * tokenizer's arena.
 */
#ifndef ASSAY_NORMALIZER_H
#define ASSAY_NORMALIZER_H

#include "engine/base/regex.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/charsmap.h"
#include "engine/tokenizer/matcher.h"

#define NORMALIZER_MAX_STEPS 8

enum normalizer_kind {
    NORMALIZE_REPLACE,         /* every `from` becomes `to` */
    NORMALIZE_PREPEND,         /* `to` in front */
    NORMALIZE_PREPEND_START,   /* `to` in front, only where the text is the start of the whole */
    NORMALIZE_PREPEND_MISSING, /* `to` in front, unless it is there already */
    NORMALIZE_PREPEND_FIRST,   /* both: only at the start, and unless it is there */
    NORMALIZE_COLLAPSE,        /* SentencePiece's remove_extra_whitespaces */
    NORMALIZE_REPLACE_PATTERN, /* every match of `pattern` becomes `to` */
    NORMALIZE_FORM,            /* Unicode's normalization form `form` */
    NORMALIZE_LOWER,           /* lower case */
    NORMALIZE_STRIP_MARKS,     /* without marks, which accents are in NFD */
    NORMALIZE_STRIP_ACCENTS,   /* without nonspacing marks only, as BERT does */
    NORMALIZE_STRIP,           /* without white space at the start (`left`), the end (`right`) */
    NORMALIZE_CHARSMAP,        /* SentencePiece's character map, unit by unit */
    NORMALIZE_CHARSMAP_HF,     /* the same as Hugging Face's library applies it */
    NORMALIZE_CLEAN,           /* BERT: no characters without a shape, one kind of space */
    NORMALIZE_APART            /* BERT: spaces around Chinese characters */
};

struct normalizer_step {
    enum normalizer_kind kind;
    struct text from, to;
    struct regex *pattern; /* owned */
    enum utf8_form form;
    bool left, right;
    struct charsmap charsmap;
};

struct normalizer {
    struct normalizer_step steps[NORMALIZER_MAX_STEPS];
    int n_steps;
    const struct matcher *whole; /* strings that COLLAPSE and CHARSMAP take as one
                                  * character; may be NULL */
};

/* Takes over the step's pattern, whatever it returns.  Fails with STATUS_UNSUPPORTED when there are
 * too many steps. */
status_code normalizer_add(struct normalizer *normalizer, struct normalizer_step step,
                           struct status *st) MUST_CHECK;

void normalizer_release(struct normalizer *normalizer);

/* The normalized text: `text` itself, or one of the two scratch buffers.  An empty text stays
 * empty. */
status_code normalizer_run(const struct normalizer *normalizer, struct text text, bool is_first,
                           struct strbuf scratch[2], struct text *out,
                           struct status *st) MUST_CHECK;

#endif
