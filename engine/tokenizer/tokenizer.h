/* tokenizer.h - text to token ids and back, exactly as the model was trained.
 *
 *   tokenizer_load() -> tokenizer_encode() -> ids          tokenizer_decode() <- ids
 *
 * A `tokenizer` is immutable after loading and may be shared by threads.  Encoding adds nothing
 * that was not asked for: BOS is added only with TOKENIZE_ADD_BOS, and text never becomes a control
 * token unless TOKENIZE_PARSE_SPECIAL is given.
 *
 *   struct tokenizer *tok;
 *   struct token_list ids = {0};
 *   if (tokenizer_load(&tok, "models/gemma-2b", st) != STATUS_OK) ...
 *   if (tokenizer_encode(tok, text, TOKENIZE_ADD_BOS, &ids, st) != STATUS_OK) ...
 *   token_list_release(&ids);
 *   tokenizer_free(tok);
 */
#ifndef ASSAY_TOKENIZER_H
#define ASSAY_TOKENIZER_H

#include <stdint.h>

#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct gguf;      /* engine/gguf/gguf.h */
struct tokenizer; /* opaque */

/* Ids that grow; the caller owns them.  {0} is an empty list. */
struct token_list {
    int32_t *ids;
    size_t count;
    size_t capacity;
};

enum tokenize_flags {
    TOKENIZE_PLAIN = 0,
    TOKENIZE_ADD_BOS = 1,       /* one BOS in front, if the vocabulary has one; the text's own
                                 * first BOS is that one when control tokens are parsed */
    TOKENIZE_PARSE_SPECIAL = 2, /* text that spells a control token becomes it */
    TOKENIZE_ADD_EOS = 4,       /* one EOS behind, if the vocabulary has one */
    TOKENIZE_USER_TEXT = 8, /* what a user wrote in a chat: pieces that divide turns are text too,
                             * even where the vocabulary does not call them control tokens */
    TOKENIZE_CONTINUED = 16 /* the text follows another: a prefix that only the start of the
                             * whole gets is not put in front */
};

struct tokenizer_info {
    const char *kind; /* which algorithm splits the text: "bpe", "byte-bpe", "spm", "unigram" or
                       * "wordpiece" */
    int n_vocab;
    /* -1 where the vocabulary has none.  Encoders call theirs [CLS] and [SEP], or <s> and </s>. */
    int32_t bos, eos, unknown, pad;
    bool add_bos, add_eos;        /* what the model's own files ask for */
    char sha256[SHA256_HEX_SIZE]; /* of the tokenizer's file, and of the tokens that a folder adds
                                   * to its tokenizer.model; or of the GGUF vocabulary arrays */
    struct text chat_template; /* the model's own, as its files spell it; "" where there is none */
};

/* From a directory (tokenizer.json, else tokenizer.model, else vocab.txt), a tokenizer.json, a
 * tokenizer.model, a vocab.txt, or a GGUF file, told apart by their content, vocab.txt by its name.
 * A tokenizer_config.json in the same directory says which pieces are special and whether BOS is
 * asked for.  Errors name the file and the field. */
status_code tokenizer_load(struct tokenizer **out, const char *path, struct status *st) MUST_CHECK;

/* From an open GGUF file, which may be closed afterwards. */
status_code tokenizer_load_gguf(struct tokenizer **out, const struct gguf *file,
                                struct status *st) MUST_CHECK;
void tokenizer_free(struct tokenizer *tokenizer);

const struct tokenizer_info *tokenizer_get_info(const struct tokenizer *tokenizer);

/* The memory that it takes. */
size_t tokenizer_bytes(const struct tokenizer *tokenizer);

/* Appends the ids of a text of at most LIMIT_PROMPT_BYTES; on failure nothing is appended.  Invalid
 * UTF-8 is encoded byte by byte, never dropped.  Where the vocabulary puts a space in front of a
 * text, it does so behind each parsed control token too. */
status_code tokenizer_encode(const struct tokenizer *tokenizer, struct text text,
                             enum tokenize_flags flags, struct token_list *out,
                             struct status *st) MUST_CHECK;

/* The bytes that one id stands for: "" for control and unknown tokens and for ids outside the
 * vocabulary. */
struct text tokenizer_piece(const struct tokenizer *tokenizer, int32_t id);

/* What the vocabulary calls an id: "<bos>" for a control token; "" outside the vocabulary. */
struct text tokenizer_piece_name(const struct tokenizer *tokenizer, int32_t id);

/* Appends the bytes of n ids: the inverse of tokenizer_encode() where nothing was normalized away,
 * except that U+2581, which most vocabularies spell a space with, comes back as a space. */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n,
                      struct strbuf *out);

bool tokenizer_is_control(const struct tokenizer *tokenizer, int32_t id);

/* Whether this id ends a reply: EOS, and pieces such as <end_of_turn> or <|im_end|> where the
 * vocabulary has them. */
bool tokenizer_is_end(const struct tokenizer *tokenizer, int32_t id);

/* The id whose stored piece is exactly `piece` (as in the vocabulary file), or -1. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *piece);

void token_list_release(struct token_list *list);
status_code token_list_append(struct token_list *list, int32_t id, struct status *st) MUST_CHECK;

#endif
