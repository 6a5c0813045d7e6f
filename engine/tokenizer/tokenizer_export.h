/* tokenizer_export.h - a loaded tokenizer to the vocabulary keys of a GGUF file.
 *
 *   tokenizer_load() -> tokenizer_to_gguf() -> "tokenizer.ggml.*" pairs in a gguf_writer
 *
 * A byte-level encoding keeps its merge rules, and its way of cutting text into words gets the name
 * that GGUF has for it.  Others GGUF keeps as SentencePiece does: pieces with scores, where
 * neighbours merge into the piece of the highest score.  A byte-pair encoding with ranked rules can
 * be written when its rules are those that scores would give, which is checked, rule by rule.  That
 * holds for every tokenizer.json that was itself made from a SentencePiece model.
 */
#ifndef ASSAY_TOKENIZER_EXPORT_H
#define ASSAY_TOKENIZER_EXPORT_H

#include "engine/gguf/gguf_writer.h"
#include "engine/tokenizer/tokenizer.h"

struct tokenizer_export {
    const struct tokenizer *tokenizer;
    /* Another reading of the same vocabulary, or NULL: pieces that are added or special here are so
     * in the file too.  A tokenizer.model knows nothing of tokens that were added after it. */
    const struct tokenizer *added;
    int n_vocab; /* rows of the embedding; ids without a piece become unused ones */
};

/* Fails with STATUS_UNSUPPORTED, and a reason, on a tokenizer that these keys cannot describe. */
status_code tokenizer_to_gguf(const struct tokenizer_export *from, struct gguf_writer *w,
                              struct status *st) MUST_CHECK;

#endif
