#include "engine/base/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty_text[1]; /* never written: every write first reserves memory */

void strbuf_init(struct strbuf *sb, size_t max_bytes)
{
    *sb = (struct strbuf){.data = empty_text, .max_bytes = max_bytes};
}

void strbuf_release(struct strbuf *sb)
{
    if (sb->capacity) free(sb->data);
    strbuf_init(sb, sb->max_bytes);
}

void strbuf_clear(struct strbuf *sb)
{
    sb->length = 0;
    sb->state = STATUS_OK;
    if (sb->capacity) sb->data[0] = '\0';
}

/* Makes room for `extra` more bytes and the NUL. */
static bool reserve(struct strbuf *sb, size_t extra)
{
    if (sb->state != STATUS_OK) return false;
    if (extra > sb->max_bytes || sb->length > sb->max_bytes - extra) {
        sb->state = STATUS_LIMIT;
        return false;
    }
    size_t need = sb->length + extra + 1;
    if (need <= sb->capacity) return true;
    size_t capacity = sb->capacity < 64 ? 64 : sb->capacity + sb->capacity / 2;
    if (capacity < need) capacity = need;
    char *data = realloc(sb->capacity ? sb->data : NULL, capacity);
    if (!data) {
        sb->state = STATUS_NO_MEMORY;
        return false;
    }
    sb->data = data;
    sb->capacity = capacity;
    return true;
}

void strbuf_append(struct strbuf *sb, const char *text, size_t n)
{
    if (!n || !reserve(sb, n)) return;
    memcpy(sb->data + sb->length, text, n);
    sb->length += n;
    sb->data[sb->length] = '\0';
}

void strbuf_append_str(struct strbuf *sb, const char *text)
{
    strbuf_append(sb, text, strlen(text));
}

void strbuf_append_char(struct strbuf *sb, char c)
{
    strbuf_append(sb, &c, 1);
}

void strbuf_appendf(struct strbuf *sb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && reserve(sb, (size_t)n)) {
        vsnprintf(sb->data + sb->length, (size_t)n + 1, format, again);
        sb->length += (size_t)n;
    }
    va_end(again);
}

void strbuf_truncate(struct strbuf *sb, size_t length)
{
    BUG_IF(length > sb->length);
    if (length == sb->length) return;
    sb->length = length;
    sb->data[length] = '\0';
}

status_code strbuf_check(const struct strbuf *sb, const char *what, struct status *st)
{
    if (sb->state == STATUS_LIMIT)
        return status_set(st, STATUS_LIMIT, "%s is longer than %zu bytes", what, sb->max_bytes);
    if (sb->state == STATUS_NO_MEMORY) return status_no_memory(st, what);
    return STATUS_OK;
}

status_code strbuf_read_file(struct strbuf *sb, const char *path, struct status *st)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_set(st, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(errno));
    char chunk[16384];
    size_t n;
    while (sb->state == STATUS_OK && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        strbuf_append(sb, chunk, n);
    int failed = ferror(file);
    int error = errno;
    fclose(file);
    if (failed) return status_set(st, STATUS_IO, "%s: %s", path, strerror(error));
    return strbuf_check(sb, path, st);
}
