/* http_internal.h - what http.c and http_download.c share; nothing outside includes it. */
#ifndef ASSAY_BASE_HTTP_INTERNAL_H
#define ASSAY_BASE_HTTP_INTERNAL_H

#include "engine/base/http.h"

void http_sleep(double seconds);

/* Seconds to wait after so many failed tries: doubling, at least what the server asks for, up to
 * the ceiling. */
double http_delay(const struct http_options *options, int attempts, double retry_after);

#endif
