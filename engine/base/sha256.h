/* sha256.h - content to its name.
 *
 * A digest is kept as 64 lower-case hexadecimal digits and a NUL: that is how it is stored, printed
 * and compared.  The hash itself is OpenSSL's.
 */
#ifndef ASSAY_BASE_SHA256_H
#define ASSAY_BASE_SHA256_H

#include <stddef.h>

#include "engine/base/status.h"
#include "engine/base/text.h"

#define SHA256_HEX_SIZE 65 /* 64 digits and the NUL */

struct sha256; /* a hash in progress */

status_code sha256_create(struct sha256 **out, struct status *st) MUST_CHECK;
void sha256_add(struct sha256 *hash, const void *data, size_t n);
void sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_SIZE]);
void sha256_free(struct sha256 *hash);

/* The digest of bytes at hand. */
void sha256_text(struct text text, char hex[SHA256_HEX_SIZE]);

/* The digest of a whole file, read in pieces. */
status_code sha256_file(const char *path, char hex[SHA256_HEX_SIZE], struct status *st) MUST_CHECK;

#endif
