/* tokenizer_compiled.h - a loaded tokenizer as bytes that can be mapped, and back.  Internal.
 *
 *   struct tokenizer -> tokenizer_compile() -> bytes -> file -> tokenizer_from_compiled()
 *
 * The large tables (pieces' bytes, the two hash tables, tries) are laid out as they are in memory
 * and used in place; of the rest, rules are built anew.  Layout, all places from the start of the
 * payload and multiples of 64:
 *   compiled_header: magic, the payload's size and its SHA-256, and a `key`, 64 digits of whoever
 *                    wrote it: bytes with another key are not what is looked for
 *   compiled_root:   numbers, and a `span` for each table
 *   the tables
 *
 * Nothing in the bytes is trusted.  The checksum finds damage; and since whoever made the bytes can
 * make a checksum too, every place, count, id and link is checked before it is used.
 */
#ifndef ASSAY_TOKENIZER_COMPILED_H
#define ASSAY_TOKENIZER_COMPILED_H

#include "engine/tokenizer/tokenizer_core.h"

/* Appends the bytes.  STATUS_LIMIT, STATUS_NO_MEMORY. */
status_code tokenizer_compile(const struct tokenizer *tokenizer, const char key[SHA256_HEX_SIZE],
                              struct strbuf *out, struct status *st) MUST_CHECK;

/* Takes over the mapped file where it returns STATUS_OK; otherwise the file is the caller's, and
 * the reason is of no interest to a user. */
status_code tokenizer_from_compiled(struct tokenizer **out, const struct mapped_file *file,
                                    const char key[SHA256_HEX_SIZE], struct status *st) MUST_CHECK;

#endif
