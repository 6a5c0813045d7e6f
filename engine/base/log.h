/* log.h - messages for the person who watches, sent to whoever owns the terminal.
 *
 * A `logger` is a callback and its data, filled in by the program's top and passed down by pointer.
 * A NULL logger, or one without a function, is silent.  Messages are one line without a newline.
 */
#ifndef ASSAY_BASE_LOG_H
#define ASSAY_BASE_LOG_H

#include "engine/base/status.h"

enum log_level { LOG_INFO, LOG_WARNING };

struct logger {
    void (*write)(void *user, enum log_level level, const char *message);
    void *user;
};

void log_info(const struct logger *log, const char *format, ...) PRINTF_LIKE(2, 3);
void log_warning(const struct logger *log, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
