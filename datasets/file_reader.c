#include "datasets/file_reader.h"

#include <limits.h>
#define ZLIB_CONST /* next_in is only read */
#include <zlib.h>

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
