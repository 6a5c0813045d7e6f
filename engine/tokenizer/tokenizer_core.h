/* tokenizer_core.h - what the readers fill in and the encoder walks.  Internal to the tokenizer.
 *
 *   text -> `raw` matches -> normalizer -> `normalized` matches -> pre_tokenizer -> words
 *   word -> symbols (`frozen` matches, characters or bytes) -> merges -> ids     BPE and SPM
 *        -> the best path through `pieces`                    -> ids             Unigram
 *        -> the longest piece, again and again                -> ids             WordPiece
 *
 * Readers start from tokenizer_create(), fill in what their format has, and end with
 * tokenizer_finish().
 */
#ifndef ASSAY_TOKENIZER_CORE_H
#define ASSAY_TOKENIZER_CORE_H

#include <stdatomic.h>

#include "engine/base/mapped_file.h"
#include "engine/tokenizer/matcher.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/seams.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

enum tokenizer_kind {
    TOKENIZER_BPE,     /* pairs of pieces merge by the rank of their rule */
    TOKENIZER_SPM,     /* neighbours merge when their bytes are a piece, by its score */
    TOKENIZER_UNIGRAM, /* the pieces whose scores have the greatest sum */
    TOKENIZER_WORDPIECE
};

/* TOKENIZER_UNIGRAM: pieces in a trie, and their scores. */
struct unigram {
    struct matcher pieces;
    double *scores; /* (n) log-probabilities, by id */
    double unknown_score;
    double user_defined_score; /* of each byte of a user-defined piece */
    bool is_float;             /* sums are kept in float, as SentencePiece does */
};

struct wordpiece {
    struct text initial_prefix; /* in front of pieces that start a word: "", or U+2581 in GGUF */
    struct text continuing_prefix;
    size_t max_characters; /* a longer word is unknown */
};

/* How GPT-2's alphabet spells a byte. */
struct byte_spelling {
    char bytes[2];
    uint8_t length;
};

struct added_token; /* engine/tokenizer/added_tokens.h */

struct tokenizer {
    struct tokenizer_info info;
    struct arena arena;
    enum tokenizer_kind kind;
    struct vocabulary vocab;
    struct merge_table merges; /* TOKENIZER_BPE */
    struct unigram unigram;
    struct wordpiece wordpiece;
    struct matcher raw;        /* in the text as it is given */
    struct matcher normalized; /* in the normalized text; what it splits is encoded apart */
    struct matcher frozen;     /* in the normalized text; symbols that never merge */
    struct normalizer normalizer;
    struct pre_tokenizer pre_tokenizer;
    bool byte_level;           /* symbols are bytes, spelled in GPT-2's alphabet */
    bool ignore_merges;        /* a word that is a piece is that piece */
    bool byte_fallback;        /* characters without a piece become byte pieces */
    bool fuse_unknown;         /* neighbouring unknown characters are one unknown piece */
    bool strip_first_space;    /* decoding drops the space that encoding put in front */
    bool strip_leading_spaces; /* or the one that each of the first pieces starts with */
    int32_t *unused;           /* (n_unused) ids of PIECE_UNUSED, ascending; TOKENIZER_SPM */
    int n_unused;
    struct seams seams;     /* where the text of a word falls apart; not of byte_level */
    int32_t ascii_ids[128]; /* the piece of each such character, or -1 */
    struct byte_spelling spellings[256];
    struct mapped_file compiled; /* what the tables lie in, if not in the arena */
    atomic_uchar *whole; /* (n) what encoding has learned of each piece; see encode_part() */
};

/* An empty tokenizer with an arena and the digest of its file. */
status_code tokenizer_create(struct tokenizer **out, enum tokenizer_kind kind, const char *digest,
                             struct status *st) MUST_CHECK;

/* Derives what follows from the vocabulary and `info.bos`, `eos`, `unknown`, `pad`. */
status_code tokenizer_finish(struct tokenizer *tokenizer, struct status *st) MUST_CHECK;

/* The part of tokenizer_finish() that a compiled tokenizer needs too: what encoding looks up. */
status_code tokenizer_prepare_encoding(struct tokenizer *tokenizer, struct status *st) MUST_CHECK;

/* The conventions of SentencePiece: `frozen` and `raw` matches from the pieces' types, and the
 * normalizer from its options.  Pieces that are words of their own are in neither: the folder adds
 * them, and they are looked for as it says. */
struct sentencepiece_rules {
    bool add_dummy_prefix, remove_extra_whitespaces;
    bool prefix_start_only;          /* not behind a control piece or an added token */
    const struct added_token *added; /* (n_added) */
    size_t n_added;
};
status_code tokenizer_use_sentencepiece_rules(struct tokenizer *tokenizer,
                                              const struct sentencepiece_rules *rules,
                                              struct status *st) MUST_CHECK;

/* The parts of a tokenizer.json that say how text is rewritten, in tokenizer_json_rules.c.  They
 * fill in the two normalizers and how decoding undoes them, or refuse what nothing here follows. */
struct json_value;
status_code tokenizer_read_json_rules(struct tokenizer *tokenizer, const struct json_value *root,
                                      struct status *st) MUST_CHECK;

/* The rule of a merge by its two pieces.  STATUS_BAD_INPUT where a piece is missing. */
status_code tokenizer_add_merge(struct tokenizer *tokenizer, struct text left, struct text right,
                                size_t rank, struct status *st) MUST_CHECK;

/* Builds `unigram` from scores[n], by id, after vocabulary_finish(). */
status_code tokenizer_use_scores(struct tokenizer *tokenizer, const double *scores, int n,
                                 bool is_float, struct status *st) MUST_CHECK;

/* BERT's rewriting and cutting of text, which all WordPiece vocabularies share. */
struct bert_rules {
    bool clean, chinese, strip_accents, lower;
};
status_code tokenizer_use_bert_normalizer(struct tokenizer *tokenizer, struct bert_rules rules,
                                          struct status *st) MUST_CHECK;
status_code tokenizer_use_bert_pre_tokenizer(struct tokenizer *tokenizer,
                                             struct status *st) MUST_CHECK;

/* SentencePiece's character map as the first step of the normalizer; copies the bytes. */
status_code tokenizer_add_charsmap(struct tokenizer *tokenizer, struct text bytes,
                                   enum normalizer_kind kind, struct status *st) MUST_CHECK;

/* GGUF's name for the way in which a byte-level tokenizer cuts text into words, or NULL. */
const char *tokenizer_gguf_pre(const struct tokenizer *tokenizer);

/* One word to ids, in tokenizer_words.c. */
status_code tokenizer_split_wordpiece(const struct tokenizer *tokenizer, struct text word,
                                      struct token_list *out, struct status *st) MUST_CHECK;

/* The best path through a word, as pieces from left to right; an id of -1 is one unknown character.
 * The buffer is made anew when it is too small, and freed by the caller. */
struct unigram_step {
    double score;
    uint32_t start; /* where the piece that ends here starts; UINT32_MAX: none does */
    int32_t id;
};
struct unigram_path {
    struct unigram_step *steps; /* (capacity) by the place where a piece ends */
    size_t capacity;
};
status_code tokenizer_split_unigram(const struct tokenizer *tokenizer, struct text word,
                                    unsigned hidden, struct unigram_path *path,
                                    struct status *st) MUST_CHECK;

/* Readers.  `bytes` is the whole file; `directory` may hold a tokenizer_config.json. */
status_code tokenizer_read_json(struct tokenizer **out, struct text bytes, const char *directory,
                                struct status *st) MUST_CHECK;
status_code tokenizer_read_spm(struct tokenizer **out, struct text bytes, const char *directory,
                               struct status *st) MUST_CHECK;

/* Appends the tokenizer.json that vocab.json and merges.txt amount to. */
status_code tokenizer_spell_pair(struct strbuf *out, struct text vocab, struct text merges,
                                 const char *directory, struct status *st) MUST_CHECK;

status_code tokenizer_read_vocab_txt(struct tokenizer **out, struct text bytes,
                                     const char *directory, struct status *st) MUST_CHECK;

/* What tokenizer_config.json says beside a tokenizer's file.  Absent fields are left as they are.
 */
struct tokenizer_config {
    struct json_value *root; /* NULL where there is no such file */
    bool has_add_bos, add_bos;
};
status_code tokenizer_config_open(struct tokenizer_config *config, const char *directory,
                                  struct status *st) MUST_CHECK;
void tokenizer_config_close(struct tokenizer_config *config);

/* Another JSON file of the directory; NULL where there is none. */
status_code tokenizer_config_parse(struct json_value **out, const char *directory, const char *name,
                                   struct status *st) MUST_CHECK;

/* Sets *id to the piece that a field such as "bos_token" names; keeps it where there is none. */
status_code tokenizer_config_piece(const struct tokenizer_config *config,
                                   const struct vocabulary *vocab, const char *field, int32_t *id,
                                   struct status *st) MUST_CHECK;

/* An optional boolean; kept where there is none. */
status_code tokenizer_config_flag(const struct tokenizer_config *config, const char *field,
                                  bool *flag, struct status *st) MUST_CHECK;

/* Copies the chat template into the tokenizer: the file chat_template.jinja in the directory, the
 * config's field (of several the one named "default"), or chat_template.json. */
status_code tokenizer_config_template(const struct tokenizer_config *config, const char *directory,
                                      struct tokenizer *tokenizer, struct status *st) MUST_CHECK;

/* Marks the pieces that the "eos_token_id" of generation_config.json, or without it of config.json,
 * says end a reply. */
status_code tokenizer_config_ends(const char *directory, struct vocabulary *vocab,
                                  struct status *st) MUST_CHECK;

#endif
