/* text.h - a view of bytes that somebody else owns.
 *
 * A `text` is passed by value, need not be NUL-terminated, and may hold NULs.  It is valid as long
 * as its owner says.
 */
#ifndef ASSAY_BASE_TEXT_H
#define ASSAY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    const char *data;
    size_t length; /* bytes */
};

/* For "%.*s": the two arguments that print a text. */
#define TEXT_ARGS(t) (int)(t).length, (t).data

static inline struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (!a.length || memcmp(a.data, b.data, a.length) == 0);
}

#endif
