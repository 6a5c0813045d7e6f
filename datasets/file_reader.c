#include "datasets/file_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST /* next_in is only read */
#include <zlib.h>

#include "engine/base/limits.h"

#define GZIP_WINDOW (15 + 16) /* zlib's largest window, gzip header expected */

static bool is_gzip(struct text bytes)
{
    return bytes.length >= 2 && (unsigned char)bytes.data[0] == 0x1f &&
           (unsigned char)bytes.data[1] == 0x8b;
}

/* Unpacks one member and moves `stored` behind it. */
static status_code inflate_member(z_stream *z, struct text *stored, struct strbuf *content,
                                  const char *path, struct status *st)
{
    char chunk[32768];
    int rc = Z_OK;
    while (rc == Z_OK) {
        uInt given = stored->length > UINT_MAX ? UINT_MAX : (uInt)stored->length;
        z->next_in = (const Bytef *)stored->data;
        z->avail_in = given;
        z->next_out = (Bytef *)chunk;
        z->avail_out = sizeof chunk;
        rc = inflate(z, Z_NO_FLUSH);
        stored->data += given - z->avail_in;
        stored->length -= given - z->avail_in;
        strbuf_append(content, chunk, sizeof chunk - z->avail_out);
        status_code code = strbuf_check(content, path, st);
        if (code != STATUS_OK) return code;
    }
    if (rc == Z_STREAM_END) return STATUS_OK;
    if (rc == Z_MEM_ERROR) return status_no_memory(st, path);
    return status_set(st, STATUS_BAD_INPUT, "%s: gzip data is %s", path,
                      rc == Z_BUF_ERROR ? "cut short" : "damaged");
}

/* A gzip file is a sequence of members; what follows the last one is padding of zeros. */
static status_code unpack(struct text stored, struct strbuf *content, const char *path,
                          struct status *st)
{
    z_stream z = {0};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) return status_no_memory(st, path);
    status_code code = STATUS_OK;
    while (code == STATUS_OK && is_gzip(stored)) {
        code = inflate_member(&z, &stored, content, path, st);
        inflateReset(&z);
    }
    inflateEnd(&z);
    for (size_t i = 0; code == STATUS_OK && i < stored.length; i++)
        if (stored.data[i])
            code = status_set(st, STATUS_BAD_INPUT, "%s: bytes follow the gzip data", path);
    return code;
}

status_code file_read(struct strbuf *content, struct file_digests *digests, const char *path,
                      struct status *st)
{
    struct strbuf stored;
    strbuf_init(&stored, content->max_bytes);
    status_code code = strbuf_read_file(&stored, path, st);
    struct text bytes = {stored.data, stored.length};
    if (code == STATUS_OK) {
        size_t start = content->length;
        sha256_text(bytes, digests->stored);
        if (is_gzip(bytes))
            code = unpack(bytes, content, path, st);
        else
            strbuf_append(content, bytes.data, bytes.length);
        if (code == STATUS_OK) code = strbuf_check(content, path, st);
        if (code == STATUS_OK)
            sha256_text((struct text){content->data + start, content->length - start},
                        digests->content);
    }
    strbuf_release(&stored);
    return code;
}

/* ---- in pieces ---- */

struct file_stream {
    gzFile file; /* reads a plain file as it is */
    char *path;
    uint64_t total;
};

status_code file_stream_open(struct file_stream **out, const char *path, struct status *st)
{
    *out = NULL;
    struct file_stream *stream = calloc(1, sizeof *stream);
    if (stream) stream->path = malloc(strlen(path) + 1);
    if (!stream || !stream->path) {
        free(stream);
        return status_no_memory(st, path);
    }
    memcpy(stream->path, path, strlen(path) + 1);
    errno = 0;
    stream->file = gzopen(path, "rb");
    if (!stream->file) {
        int error = errno;
        file_stream_free(stream);
        if (!error) return status_no_memory(st, path);
        return status_set(st, error == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(error));
    }
    *out = stream;
    return STATUS_OK;
}

void file_stream_free(struct file_stream *stream)
{
    if (!stream) return;
    if (stream->file) gzclose(stream->file);
    free(stream->path);
    free(stream);
}

status_code file_stream_read(struct file_stream *stream, char *out, size_t n, size_t *got,
                             struct status *st)
{
    for (*got = 0; *got < n;) {
        size_t left = n - *got;
        int read = gzread(stream->file, out + *got, left > INT_MAX ? INT_MAX : (unsigned)left);
        if (read <= 0) break;
        *got += (size_t)read;
    }
    stream->total += *got;
    if (stream->total > LIMIT_ARCHIVE_BYTES)
        return status_set(st, STATUS_LIMIT, "%s: unpacks to more than %llu bytes", stream->path,
                          (unsigned long long)LIMIT_ARCHIVE_BYTES);
    int code = Z_OK;
    const char *why = gzerror(stream->file, &code);
    if (*got == n || code == Z_OK || code == Z_STREAM_END) return STATUS_OK;
    if (code == Z_ERRNO) return status_set(st, STATUS_IO, "%s: %s", stream->path, strerror(errno));
    return status_set(st, STATUS_BAD_INPUT, "%s: gzip data is damaged (%s)", stream->path, why);
}
