#include "engine/base/sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGEST_BYTES 32

struct sha256 {
    EVP_MD_CTX *context;
};

status_code sha256_create(struct sha256 **out, struct status *st)
{
    struct sha256 *hash = malloc(sizeof *hash);
    if (hash) hash->context = EVP_MD_CTX_new();
    if (!hash || !hash->context || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        sha256_free(hash);
        return status_no_memory(st, "a SHA-256");
    }
    *out = hash;
    return STATUS_OK;
}

void sha256_add(struct sha256 *hash, const void *data, size_t n)
{
    BUG_IF(EVP_DigestUpdate(hash->context, data, n) != 1);
}

static void to_hex(const unsigned char digest[DIGEST_BYTES], char hex[SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * DIGEST_BYTES] = '\0';
}

void sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n;
    BUG_IF(EVP_DigestFinal_ex(hash->context, digest, &n) != 1 || n != DIGEST_BYTES);
    to_hex(digest, hex);
}

void sha256_free(struct sha256 *hash)
{
    if (!hash) return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void sha256_text(struct text text, char hex[SHA256_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n;
    const char *data = text.length ? text.data : "";
    BUG_IF(EVP_Digest(data, text.length, digest, &n, EVP_sha256(), NULL) != 1);
    to_hex(digest, hex);
}

status_code sha256_file(const char *path, char hex[SHA256_HEX_SIZE], struct status *st)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_set(st, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(errno));
    struct sha256 *hash = NULL;
    status_code code = sha256_create(&hash, st);
    if (code == STATUS_OK) {
        char chunk[65536];
        size_t n;
        while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) sha256_add(hash, chunk, n);
        if (ferror(file))
            code = status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
        else
            sha256_finish(hash, hex);
        sha256_free(hash);
    }
    fclose(file);
    return code;
}
