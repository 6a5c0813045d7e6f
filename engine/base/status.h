/* status.h - how a function says that it could not do its work.
 *
 *   status_code f(..., struct status *st)  ->  STATUS_OK, or a code and a message in *st
 *
 * A `status` belongs to the caller, who clears it with `struct status st = {0};` and may pass the
 * same one down a chain of calls: a callee writes it only when it fails, so the first failure is
 * the one that is reported.  The message is one line, fit to be shown to a user as it is: it names
 * the file, the field and, where there is one, the remedy.
 *
 * Nothing that takes a `status` prints or exits; benchmarks/cli/ turns codes into exit codes.
 */
#ifndef ASSAY_BASE_STATUS_H
#define ASSAY_BASE_STATUS_H

#include <stdbool.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

typedef enum status_code {
    STATUS_OK = 0,
    STATUS_USAGE,       /* the caller's words are wrong: an option, a name, a number */
    STATUS_NOT_FOUND,   /* a file, tensor, run or task that was named is not there */
    STATUS_BAD_INPUT,   /* bytes from outside break their format */
    STATUS_UNSUPPORTED, /* well formed, but nothing here can run it */
    STATUS_LIMIT,       /* over a bound of limits.h */
    STATUS_NO_MEMORY,
    STATUS_IO,         /* the operating system refused a read, write or map */
    STATUS_STORE,      /* SQLite refused; the transaction in flight was rolled back */
    STATUS_TIMEOUT,    /* what was asked for did not come in the time that was given */
    STATUS_INTERRUPTED /* the user asked to stop; what was finished is committed */
} status_code;

struct status {
    status_code code;
    char message[512]; /* NUL-terminated, one line, no trailing newline */
};

/* Records a failure and returns `code`, so that `return status_set(st, ...)` reads as one step.
 * Control characters in the message are replaced by '?': file names are outside bytes too. */
status_code status_set(struct status *st, status_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Puts context in front of a failure that a callee recorded: "format: message". Returns st->code.
 */
status_code status_prefix(struct status *st, const char *format, ...) PRINTF_LIKE(2, 3);

/* Records that memory ran out while building `what`. */
status_code status_no_memory(struct status *st, const char *what);

/* The code as one lower-case word, as it is stored beside a failed sample. */
const char *status_code_name(status_code code);

/* For our own mistakes only, never for input: says where, then aborts. */
#define BUG_IF(condition)                                                                          \
    do {                                                                                           \
        if (condition) status_bug(__FILE__, __LINE__, #condition);                                 \
    } while (0)
_Noreturn void status_bug(const char *file, int line, const char *condition);

#endif
