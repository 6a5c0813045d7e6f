/* utf8.h - code points in bytes, and the parts of Python's str that protocols depend on.
 *
 * Everything takes a `text` and copies nothing unless it says so.  Invalid bytes never stop a
 * function: each counts as one character and matches nothing.
 */
#ifndef ASSAY_BASE_UTF8_H
#define ASSAY_BASE_UTF8_H

#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

/* Reads one code point (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).  Returns the
 * bytes it took, or 0 when the bytes at `p` are not a whole valid sequence or n is 0. */
size_t utf8_decode(const char *p, size_t n, uint32_t *code_point);

/* Writes the sequence for a valid code point and returns its length, 1 to 4. */
size_t utf8_encode(uint32_t code_point, char out[4]);

bool utf8_valid(struct text text);

/* Code points, as len() of a Python str; an invalid byte counts as one. */
size_t utf8_count(struct text text);

/* str.isspace() of one character. */
bool utf8_is_space(uint32_t code_point);

/* str.strip(), str.lstrip(), str.rstrip() without arguments. */
struct text utf8_strip(struct text text);
struct text utf8_lstrip(struct text text);
struct text utf8_rstrip(struct text text);

/* Appends the text in lower case, one code point at a time (Unicode simple mapping). */
void utf8_append_lower(struct strbuf *sb, struct text text);

/* Appends the text with every invalid byte replaced by U+FFFD. */
void utf8_append_valid(struct strbuf *sb, struct text text);

/* The length of the longest prefix that does not end inside a sequence that more bytes could
 * complete: what a stream may show now. */
size_t utf8_complete_length(struct text text);

#endif
