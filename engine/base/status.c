#include "engine/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep_to_one_line(char *message)
{
    for (char *p = message; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}

status_code status_set(struct status *st, status_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(st->message, sizeof st->message, format, args);
    va_end(args);
    keep_to_one_line(st->message);
    st->code = code;
    return code;
}

status_code status_prefix(struct status *st, const char *format, ...)
{
    char context[sizeof st->message];
    char whole[2 * sizeof st->message + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", context, st->message);
    keep_to_one_line(whole);
    memcpy(st->message, whole, sizeof st->message);
    st->message[sizeof st->message - 1] = '\0';
    return st->code;
}

status_code status_no_memory(struct status *st, const char *what)
{
    return status_set(st, STATUS_NO_MEMORY, "out of memory for %s", what);
}

const char *status_code_name(status_code code)
{
    static const char *const names[] = {
        [STATUS_OK] = "ok",
        [STATUS_USAGE] = "usage",
        [STATUS_NOT_FOUND] = "not_found",
        [STATUS_BAD_INPUT] = "bad_input",
        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_LIMIT] = "limit",
        [STATUS_NO_MEMORY] = "no_memory",
        [STATUS_IO] = "io",
        [STATUS_STORE] = "store",
        [STATUS_TIMEOUT] = "timeout",
        [STATUS_INTERRUPTED] = "interrupted",
    };
    return names[code];
}

void status_bug(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: this is a bug in assay: %s\n", file, line, condition);
    abort();
}
