#include "classifiers/text_ranges.h"

#include <stdlib.h>

void text_ranges_init(struct text_ranges *ranges)
{
    *ranges = (struct text_ranges){0};
}

void text_ranges_release(struct text_ranges *ranges)
{
    free(ranges->at);
    text_ranges_init(ranges);
}

status_code text_ranges_add(struct text_ranges *ranges, size_t start, size_t end, struct status *st)
{
    if (start >= end) return STATUS_OK;
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? 2 * ranges->room : 16;
        struct text_range *at = realloc(ranges->at, room * sizeof *at);
        if (!at) return status_no_memory(st, "the stretches of a text");
        ranges->at = at;
        ranges->room = room;
    }
    ranges->at[ranges->count++] = (struct text_range){start, end};
    return STATUS_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct text_range *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static bool continues_character(struct text text, size_t i)
{
    return i < text.length && ((unsigned char)text.data[i] & 0xc0) == 0x80;
}

static struct text_range widen(struct text text, struct text_range range)
{
    while (range.start && continues_character(text, range.start)) range.start--;
    while (continues_character(text, range.end)) range.end++;
    return range;
}

status_code text_ranges_replace(struct text_ranges *ranges, struct text text,
                                struct text replacement, struct strbuf *out, struct status *st)
{
    size_t done = 0;
    if (ranges->count) qsort(ranges->at, ranges->count, sizeof *ranges->at, by_start);
    for (size_t i = 0; i < ranges->count;) {
        struct text_range range = widen(text, ranges->at[i]);
        BUG_IF(range.end > text.length);
        for (i++; i < ranges->count; i++) {
            struct text_range next = widen(text, ranges->at[i]);
            if (next.start > range.end) break;
            if (next.end > range.end) range.end = next.end;
        }
        strbuf_append(out, text.data + done, range.start - done);
        strbuf_append(out, replacement.data, replacement.length);
        done = range.end;
    }
    strbuf_append(out, text.data + done, text.length - done);
    return strbuf_check(out, "a text with stretches replaced", st);
}
