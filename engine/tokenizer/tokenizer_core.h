/* tokenizer_core.h - what the readers fill in and the encoder walks.  Internal to the tokenizer.
 *
 *   text -> `raw` matches -> normalizer -> `normalized` matches -> pre_tokenizer -> symbols
 *        -> `frozen` matches and characters -> merges -> ids
 *
 * Readers start from tokenizer_create(), fill in what their format has, and end with
 * tokenizer_finish().
 */
#ifndef ASSAY_TOKENIZER_CORE_H
#define ASSAY_TOKENIZER_CORE_H

#include "engine/tokenizer/matcher.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

enum tokenizer_kind {
    TOKENIZER_BPE, /* pairs of pieces merge by the rank of their rule */
    TOKENIZER_SPM  /* neighbours merge when their bytes are a piece, by its score */
};

struct tokenizer {
    struct tokenizer_info info;
    struct arena arena;
    enum tokenizer_kind kind;
    struct vocabulary vocab;
    struct merge_table merges; /* TOKENIZER_BPE */
    struct matcher raw;        /* in the text as it is given */
    struct matcher normalized; /* in the normalized text; what it splits is encoded apart */
    struct matcher frozen;     /* in the normalized text; symbols that never merge */
    struct normalizer normalizer, pre_tokenizer;
    bool byte_fallback;        /* characters without a piece become byte pieces */
    bool fuse_unknown;         /* neighbouring unknown characters are one unknown piece */
    bool strip_first_space;    /* decoding drops the space that encoding put in front */
    bool strip_leading_spaces; /* or the one that each of the first pieces starts with */
    int32_t *unused;           /* (n_unused) ids of PIECE_UNUSED, ascending; TOKENIZER_SPM */
    int n_unused;
};

/* An empty tokenizer with an arena and the digest of its file. */
status_code tokenizer_create(struct tokenizer **out, enum tokenizer_kind kind, const char *digest,
                             struct status *st) MUST_CHECK;

/* Derives what follows from the vocabulary and `info.bos`, `eos`, `unknown`, `pad`. */
status_code tokenizer_finish(struct tokenizer *tokenizer, struct status *st) MUST_CHECK;

/* The conventions of SentencePiece: `frozen` and `raw` matches from the pieces' types, and the
 * normalizer from its two options. */
status_code tokenizer_use_sentencepiece_rules(struct tokenizer *tokenizer, bool add_dummy_prefix,
                                              bool remove_extra_whitespaces,
                                              struct status *st) MUST_CHECK;

/* The parts of a tokenizer.json that say how text is rewritten, in tokenizer_json_rules.c.  They
 * fill in the two normalizers and how decoding undoes them, or refuse what nothing here follows. */
struct json_value;
status_code tokenizer_read_json_rules(struct tokenizer *tokenizer, const struct json_value *root,
                                      struct status *st) MUST_CHECK;

/* Readers.  `bytes` is the whole file; `directory` may hold a tokenizer_config.json. */
status_code tokenizer_read_json(struct tokenizer **out, struct text bytes, const char *directory,
                                struct status *st) MUST_CHECK;
status_code tokenizer_read_spm(struct tokenizer **out, struct text bytes, const char *directory,
                               struct status *st) MUST_CHECK;

/* What tokenizer_config.json says beside a tokenizer's file.  Absent fields are left as they are.
 */
struct tokenizer_config {
    struct json_value *root; /* NULL where there is no such file */
    bool has_add_bos, add_bos;
};
status_code tokenizer_config_open(struct tokenizer_config *config, const char *directory,
                                  struct status *st) MUST_CHECK;
void tokenizer_config_close(struct tokenizer_config *config);

/* Sets *id to the piece that a field such as "bos_token" names; keeps it where there is none. */
status_code tokenizer_config_piece(const struct tokenizer_config *config,
                                   const struct vocabulary *vocab, const char *field, int32_t *id,
                                   struct status *st) MUST_CHECK;

#endif
