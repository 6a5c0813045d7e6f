/* tokenizer_cache.h - compiled tokenizers kept between runs.  Internal to the tokenizer.
 *
 *   tokenizer_cache_key() -> tokenizer_cache_load(), or read the source and tokenizer_cache_save()
 *
 * A large tokenizer.json takes half a second to read and a fifteenth of that to map once it is
 * compiled.  Files are $XDG_CACHE_HOME/assay/tokenizers/DIGEST (or below ~/.cache), named after
 * everything that the source's meaning depends on, and written for one build of the program.  They
 * may be deleted at any time.  A file that is damaged, cut short, someone else's or of another
 * build is passed over and written anew; where nothing can be kept, nothing is, and nobody is told.
 */
#ifndef ASSAY_TOKENIZER_CACHE_H
#define ASSAY_TOKENIZER_CACHE_H

#include "engine/tokenizer/tokenizer_core.h"

struct tokenizer_cache_key {
    char path[4096];              /* of the file; "" where nothing is kept */
    char digest[SHA256_HEX_SIZE]; /* of the source and of the program */
};

/* For a source of these bytes, with what its directory says beside it. */
void tokenizer_cache_key(struct tokenizer_cache_key *key, struct text source,
                         const char *directory);

/* False where there is no usable file. */
bool tokenizer_cache_load(struct tokenizer **out, const struct tokenizer_cache_key *key);
void tokenizer_cache_save(const struct tokenizer *tokenizer, const struct tokenizer_cache_key *key);

#endif
