/* strbuf.h - text that grows, up to a stated bound.
 *
 *   strbuf_init() -> strbuf_append...() many times -> strbuf_check() -> use `data`
 *
 * A `strbuf` lives in its owner's struct or on the stack and owns its bytes until
 * strbuf_release().  `data` is never NULL and always NUL-terminated; `length` counts bytes and the
 * text may hold NULs.  Callers read both and write neither.
 *
 * An append that would pass the bound, or that finds no memory, marks the buffer and does nothing;
 * so do all appends after it.  Code therefore appends freely and asks once, at the end:
 *
 *   struct strbuf sb;
 *   strbuf_init(&sb, LIMIT_PROMPT_BYTES);
 *   strbuf_append_str(&sb, "Question: ");
 *   strbuf_append(&sb, question, n);
 *   if (strbuf_check(&sb, "prompt", st) != STATUS_OK) ...
 *   strbuf_release(&sb);
 */
#ifndef ASSAY_BASE_STRBUF_H
#define ASSAY_BASE_STRBUF_H

#include <stddef.h>

#include "engine/base/status.h"

struct strbuf {
    char *data;
    size_t length;
    size_t capacity;  /* bytes allocated; 0 while `data` is the shared empty string */
    size_t max_bytes; /* bound on length */
    status_code state;
};

void strbuf_init(struct strbuf *sb, size_t max_bytes);
void strbuf_release(struct strbuf *sb);

/* Empties the text and clears the mark; keeps the memory. */
void strbuf_clear(struct strbuf *sb);

void strbuf_append(struct strbuf *sb, const char *text, size_t n);
void strbuf_append_str(struct strbuf *sb, const char *text);
void strbuf_append_char(struct strbuf *sb, char c);
void strbuf_appendf(struct strbuf *sb, const char *format, ...) PRINTF_LIKE(2, 3);

/* Shortens the text to `length` bytes, which may not be more than it has. */
void strbuf_truncate(struct strbuf *sb, size_t length);

/* STATUS_OK if every append since the last clear was kept; `what` names the text in the message. */
status_code strbuf_check(const struct strbuf *sb, const char *what, struct status *st) MUST_CHECK;

/* Appends a whole file.  Fails with STATUS_NOT_FOUND, STATUS_IO or STATUS_LIMIT, naming the path.
 */
status_code strbuf_read_file(struct strbuf *sb, const char *path, struct status *st) MUST_CHECK;

#endif
