#include "engine/base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void PRINTF_LIKE(3, 0)
    write_message(const struct logger *log, enum log_level level, const char *format, va_list args)
{
    if (!log || !log->write) return;
    char message[1024];
    vsnprintf(message, sizeof message, format, args);
    log->write(log->user, level, message);
}

void log_info(const struct logger *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_message(log, LOG_INFO, format, args);
    va_end(args);
}

void log_warning(const struct logger *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_message(log, LOG_WARNING, format, args);
    va_end(args);
}
