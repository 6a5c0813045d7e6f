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

/* How much of the text, from its start, is ASCII; and how much is valid UTF-8. */
size_t utf8_ascii_length(struct text text);
size_t utf8_valid_length(struct text text);

bool utf8_valid(struct text text);

/* Code points, as len() of a Python str; an invalid byte counts as one. */
size_t utf8_count(struct text text);

/* str.isspace() of one character. */
bool utf8_is_space(uint32_t code_point);

/* str.strip(), str.lstrip(), str.rstrip() without arguments. */
struct text utf8_strip(struct text text);
struct text utf8_lstrip(struct text text);
struct text utf8_rstrip(struct text text);

/* Appends the text in lower or upper case, one code point at a time (Unicode simple mapping). */
void utf8_append_lower(struct strbuf *sb, struct text text);
void utf8_append_upper(struct strbuf *sb, struct text text);

/* str.capitalize(): the first character in title case, the others in lower case, both by simple
 * mapping. */
void utf8_append_capitalized(struct strbuf *sb, struct text text);

/* Appends the text with every invalid byte replaced by U+FFFD. */
void utf8_append_valid(struct strbuf *sb, struct text text);

/* What Unicode says a character is, as far as text classifiers care. */
enum utf8_class {
    UTF8_WORD,   /* letters, marks, digits and other numbers */
    UTF8_BREAK,  /* punctuation, white space, controls, what is not assigned */
    UTF8_SYMBOL, /* mathematics, currency, pictures */
    UTF8_HIDDEN  /* takes no room: joiners, direction marks, variation selectors */
};
enum utf8_class utf8_classify(uint32_t code_point);

/* Folds a character for comparison: compatibility decomposition (NFKD) and full case folding,
 * without marks and without what is ignorable.  Writes at most UTF8_FOLD_MAX code points and
 * returns how many; 0 when nothing is left. */
#define UTF8_FOLD_MAX 18
size_t utf8_fold(uint32_t code_point, uint32_t out[UTF8_FOLD_MAX]);

/* Unicode's White_Space property, which is not what Python's isspace() says. */
bool utf8_is_white_space(uint32_t code_point);

/* What a word is made of as \w of UTS #18 says: letters, marks, decimal digits, connectors such as
 * the underscore, and the two joiners. */
bool utf8_is_word(uint32_t code_point);

/* Categories P* (punctuation); Cc, Cf, Co and Cs (what has no shape); M* (marks); Mn (marks that
 * take no room). */
bool utf8_is_punctuation(uint32_t code_point);
bool utf8_is_formless(uint32_t code_point);
bool utf8_is_mark(uint32_t code_point);
bool utf8_is_nonspacing_mark(uint32_t code_point);

/* Appends the text in one of Unicode's normalization forms (UAX #15); invalid bytes stay. */
enum utf8_form { UTF8_NFC, UTF8_NFD, UTF8_NFKC, UTF8_NFKD };
status_code utf8_append_form(struct strbuf *sb, struct text text, enum utf8_form form,
                             struct status *st) MUST_CHECK;

/* The bytes of the first grapheme cluster (UAX #29), or 1 for an invalid byte; 0 of no text. */
size_t utf8_grapheme_length(struct text text);

/* The length of the longest prefix that does not end inside a sequence that more bytes could
 * complete: what a stream may show now. */
size_t utf8_complete_length(struct text text);

#endif
