/* tar_reader.c - POSIX.1-1988 ustar: blocks of 512 bytes, a header and then the file, padded.
 *
 *   0 name[100]  124 size[12] octal  148 checksum[8] octal  156 type  257 "ustar"  345 prefix[155]
 */
#include "datasets/tar_reader.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/file_reader.h"
#include "engine/base/limits.h"

#define BLOCK          512
#define EXTENDED_BYTES 65536 /* of an extended header that is looked into */

struct tar {
    struct file_stream *stream;
    char *path;
    char name[100 + 1 + 155 + 1];
    int64_t left;    /* bytes of the file at hand that were not read */
    int64_t padding; /* behind them */
};

status_code tar_open(struct tar **out, const char *path, struct status *st)
{
    *out = NULL;
    struct tar *tar = calloc(1, sizeof *tar);
    if (!tar) return status_no_memory(st, "an archive");
    tar->path = malloc(strlen(path) + 1);
    if (!tar->path) {
        tar_free(tar);
        return status_no_memory(st, "an archive");
    }
    memcpy(tar->path, path, strlen(path) + 1);
    if (file_stream_open(&tar->stream, path, st) != STATUS_OK) {
        tar_free(tar);
        return st->code;
    }
    *out = tar;
    return STATUS_OK;
}

void tar_free(struct tar *tar)
{
    if (!tar) return;
    file_stream_free(tar->stream);
    free(tar->path);
    free(tar);
}

/* All n bytes, or a failure. */
static status_code read_all(struct tar *tar, char *out, size_t n, struct status *st)
{
    size_t got;
    status_code code = file_stream_read(tar->stream, out, n, &got, st);
    if (code == STATUS_OK && got < n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the archive is cut short", tar->path);
    return code;
}

static status_code pass_over(struct tar *tar, int64_t n, struct status *st)
{
    char bytes[32768];
    status_code code = STATUS_OK;
    while (n > 0 && code == STATUS_OK) {
        size_t piece = n < (int64_t)sizeof bytes ? (size_t)n : sizeof bytes;
        code = read_all(tar, bytes, piece, st);
        n -= (int64_t)piece;
    }
    return code;
}

/* Octal digits up to a space, a NUL or the end; -1 for anything else. */
static int64_t read_octal(const char *field, size_t n)
{
    int64_t value = 0;
    size_t i = 0;
    while (i < n && field[i] == ' ') i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) {
        if (value > INT64_MAX / 16) return -1;
        value = value * 8 + (field[i] - '0');
    }
    return i == n || field[i] == ' ' || field[i] == '\0' ? value : -1;
}

/* The sum of all bytes, those of the checksum itself counted as spaces. */
static bool has_checksum(const char block[BLOCK])
{
    int64_t sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
    return sum == read_octal(block + 148, 8);
}

static bool is_zero(const char block[BLOCK])
{
    for (int i = 0; i < BLOCK; i++)
        if (block[i]) return false;
    return true;
}

static void join_name(struct tar *tar, const char block[BLOCK])
{
    size_t n = 0, prefix = 0, name = 0;
    if (memcmp(block + 257, "ustar", 6) == 0) /* GNU's own form has other things there */
        while (prefix < 155 && block[345 + prefix]) prefix++;
    while (name < 100 && block[name]) name++;
    memcpy(tar->name, block + 345, prefix);
    n = prefix;
    if (prefix) tar->name[n++] = '/';
    memcpy(tar->name + n, block, name);
    tar->name[n + name] = '\0';
}

/* Whether an extended header (pax "x") renames the file behind it. */
static status_code renames(struct tar *tar, int64_t size, bool *out, struct status *st)
{
    char bytes[EXTENDED_BYTES + 1];
    if (size > EXTENDED_BYTES)
        return status_set(st, STATUS_LIMIT, "%s: an extended header of %lld bytes", tar->path,
                          (long long)size);
    status_code code = read_all(tar, bytes, (size_t)size, st);
    bytes[code == STATUS_OK ? size : 0] = '\0';
    for (int64_t i = 0; i + 6 <= size && code == STATUS_OK; i++)
        *out = *out || memcmp(bytes + i, " path=", 6) == 0 || memcmp(bytes + i, " size=", 6) == 0;
    return code;
}

/* Reads headers until one of a regular file, whose name and size it takes. */
static status_code find_file(struct tar *tar, bool *found, struct status *st)
{
    char block[BLOCK];
    bool renamed = false;
    for (*found = false; !*found;) {
        size_t got;
        status_code code = file_stream_read(tar->stream, block, BLOCK, &got, st);
        if (code != STATUS_OK) return code;
        if (got == 0 || (got == BLOCK && is_zero(block))) return STATUS_OK;
        int64_t size = got == BLOCK ? read_octal(block + 124, 12) : -1;
        if (got < BLOCK || !has_checksum(block) || size < 0 || size > INT64_MAX - BLOCK)
            return status_set(st, STATUS_BAD_INPUT, "%s: %s", tar->path,
                              got < BLOCK ? "the archive is cut short" : "not a tar archive");
        char type = block[156];
        int64_t padding = (BLOCK - size % BLOCK) % BLOCK;
        if (type == 'x') {
            code = renames(tar, size, &renamed, st);
            if (code == STATUS_OK) code = pass_over(tar, padding, st);
        } else if (type == 'L' || type == 'K') { /* GNU: a long name for what follows */
            renamed = true;
            code = pass_over(tar, size + padding, st);
        } else if ((type == '0' || type == '\0') && !renamed) {
            join_name(tar, block);
            tar->left = size;
            tar->padding = padding;
            *found = true;
        } else {
            renamed = renamed && type == 'g'; /* "g" is about all files, not the next one */
            code = pass_over(tar, size + padding, st);
        }
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

status_code tar_next(struct tar *tar, struct tar_file *file, struct status *st)
{
    bool found = false;
    *file = (struct tar_file){0};
    status_code code = pass_over(tar, tar->left, st);
    if (code == STATUS_OK) code = pass_over(tar, tar->padding, st);
    tar->left = tar->padding = 0;
    if (code == STATUS_OK) code = find_file(tar, &found, st);
    if (code == STATUS_OK && found) *file = (struct tar_file){tar->name, tar->left};
    return code;
}

status_code tar_read(struct tar *tar, struct strbuf *out, struct status *st)
{
    char bytes[32768];
    status_code code = strbuf_check(out, tar->name, st);
    while (tar->left > 0 && code == STATUS_OK) {
        size_t piece = tar->left < (int64_t)sizeof bytes ? (size_t)tar->left : sizeof bytes;
        code = read_all(tar, bytes, piece, st);
        tar->left -= (int64_t)piece;
        if (code == STATUS_OK) strbuf_append(out, bytes, piece);
        if (code == STATUS_OK) code = strbuf_check(out, tar->name, st);
    }
    return code;
}
