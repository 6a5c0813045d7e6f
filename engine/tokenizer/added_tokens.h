/* added_tokens.h - tokens that a folder adds to SentencePiece's vocabulary.  Internal to the
 * tokenizer.
 *
 *   added_tokens_collect() -> added_tokens_place() -> `items` -> added_tokens_release()
 *
 * tokenizer.model cannot be added to, so transformers keeps what came later in files beside it:
 * "added_tokens_decoder" of tokenizer_config.json or, where that is not there, added_tokens.json
 * and special_tokens_map.json.  An `added_token` is one of those, or a special token that is
 * merely named; texts in it live in the JSON trees that the list owns.
 */
#ifndef ASSAY_ADDED_TOKENS_H
#define ASSAY_ADDED_TOKENS_H

#include "engine/tokenizer/tokenizer_core.h"

struct added_token {
    struct text content;
    int64_t id;         /* -1 until it is placed, where no file gives one */
    size_t rank;        /* the order in which the files give them */
    bool special;       /* a control piece: text becomes it only where that is asked for */
    bool normalized;    /* looked for in the text after it was rewritten; tokenizer.json */
    unsigned flags;     /* of match_flags */
    const char *source; /* the file it is from */
};

/* The fields that one has in every file: "content", "special", "normalized", and what it strips.
 * The rest is zero. */
status_code added_token_read(const struct json_value *node, struct added_token *out,
                             struct status *st) MUST_CHECK;

struct added_tokens {
    struct json_value *added, *specials; /* the two files; NULL where they are not read */
    struct added_token *items;           /* (n) */
    size_t n, capacity;
};

/* What the folder adds, sorted by content, each content once. */
status_code added_tokens_collect(struct added_tokens *list, const struct tokenizer_config *config,
                                 const char *directory, struct status *st) MUST_CHECK;
void added_tokens_release(struct added_tokens *list);

/* Tells the list of a piece that the model has: a token of the same content is that piece. */
status_code added_tokens_meet(struct added_tokens *list, int32_t id, struct text stored,
                              struct status *st) MUST_CHECK;

/* After all pieces were met: tokens without an id get those behind all others, and the list is
 * sorted by id.  *n_vocab is how many pieces there are with the added ones. */
status_code added_tokens_place(struct added_tokens *list, size_t n_pieces, size_t *n_vocab,
                               struct status *st) MUST_CHECK;

/* The content of "bos_token" or another name, "" where the folder gives none. */
struct text added_tokens_named(const struct added_tokens *list,
                               const struct tokenizer_config *config, const char *field);

#endif
