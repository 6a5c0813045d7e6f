#include "engine/base/fetched_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/http_download.h"

struct part {
    const struct fetched_file *file;
    const struct fetch_listener *listener;
    char path[PATH_MAX];
    int fd;
    int64_t have;
};

status_code fetch_make_folders(const char *path, struct status *st)
{
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof folder, "%s", path);
    if (n < 0 || (size_t)n >= sizeof folder)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", path);
    for (char *slash = folder + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return status_set(st, STATUS_IO, "%s: %s", folder, strerror(errno));
        *slash = '/';
    }
    return STATUS_OK;
}

/* ---- the part ---- */

static status_code io_error(const struct part *part, struct status *st)
{
    return status_set(st, STATUS_IO, "%s: %s", part->path, strerror(errno));
}

static status_code write_bytes(void *user, const char *bytes, size_t n, struct status *st)
{
    struct part *part = user;
    while (n) {
        ssize_t written = write(part->fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return io_error(part, st);
        bytes += written;
        n -= (size_t)written;
        part->have += written;
    }
    if (part->listener->progress)
        part->listener->progress(part->listener->user, part->file->path, part->have,
                                 part->file->bytes);
    return STATUS_OK;
}

static status_code start_over(void *user, struct status *st)
{
    struct part *part = user;
    part->have = 0;
    if (ftruncate(part->fd, 0) != 0 || lseek(part->fd, 0, SEEK_SET) != 0) return io_error(part, st);
    return STATUS_OK;
}

static bool stop(void *user)
{
    const struct part *part = user;
    return part->listener->stop && part->listener->stop(part->listener->user);
}

/* Whoever holds the lock may write.  Between opening and locking the file may have got its name:
 * then the path leads elsewhere, and what was locked is the whole file, which nobody may touch. */
static status_code open_part(struct part *part, struct status *st)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat info, named;
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (part->fd < 0) return io_error(part, st);
    if (fcntl(part->fd, F_SETLK, &lock) != 0)
        return status_set(st, STATUS_IO, "%s: another process is fetching this file", part->path);
    if (fstat(part->fd, &info) != 0) return io_error(part, st);
    if (!S_ISREG(info.st_mode))
        return status_set(st, STATUS_IO, "%s: not a regular file", part->path);
    if (lstat(part->path, &named) != 0 || named.st_ino != info.st_ino)
        return status_set(st, STATUS_IO, "%s: another process has just fetched this file",
                          part->path);
    part->have = lseek(part->fd, 0, SEEK_END);
    return part->have < 0 ? io_error(part, st) : STATUS_OK;
}

/* Through the descriptor that has the lock: closing another one of the same file would end it. */
static status_code digest_part(const struct part *part, char hex[SHA256_HEX_SIZE],
                               struct status *st)
{
    struct sha256 *hash;
    char chunk[65536];
    ssize_t n;
    off_t at = 0;
    status_code code = sha256_create(&hash, st);
    if (code != STATUS_OK) return code;
    while ((n = pread(part->fd, chunk, sizeof chunk, at)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0) continue;
        sha256_add(hash, chunk, (size_t)n);
        at += n;
    }
    if (n < 0)
        code = io_error(part, st);
    else
        sha256_finish(hash, hex);
    sha256_free(hash);
    return code;
}

/* ---- the file ---- */

static status_code differs(const char *path, const char *actual, const struct fetched_file *file,
                           const char *remedy, struct status *st)
{
    return status_set(st, STATUS_BAD_INPUT, "%s: SHA-256 %.12s..., expected %.12s...; %s", path,
                      actual, file->sha256, remedy);
}

/* *out->was_there says whether the file has its name. */
static status_code look(const struct fetched_file *file, struct fetch_outcome *out,
                        struct status *st)
{
    struct stat info;
    *out = (struct fetch_outcome){0};
    if (stat(file->path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return STATUS_OK;
        return status_set(st, STATUS_IO, "%s: %s", file->path, strerror(errno));
    }
    status_code code = sha256_file(file->path, out->sha256, st);
    if (code != STATUS_OK) return code;
    out->was_there = true;
    out->bytes = info.st_size;
    if (file->sha256 && strcmp(out->sha256, file->sha256) != 0)
        return differs(file->path, out->sha256, file, "move it away to fetch the official file",
                       st);
    if (file->bytes && out->bytes != file->bytes)
        return status_set(st, STATUS_BAD_INPUT, "%s: has %lld bytes, expected %lld; move it away",
                          file->path, (long long)out->bytes, (long long)file->bytes);
    return STATUS_OK;
}

static status_code download(struct part *part, struct status *st)
{
    const struct fetched_file *file = part->file;
    if (file->bytes && part->have > file->bytes && start_over(part, st) != STATUS_OK)
        return st->code;
    if (file->bytes && part->have == file->bytes) return STATUS_OK;
    const struct http_sink sink = {write_bytes, start_over, stop, part};
    const struct http_download d = {.url = file->url,
                                    .headers = file->headers,
                                    .have = part->have,
                                    .bytes = file->bytes,
                                    .max_bytes = file->max_bytes,
                                    .stall_seconds = file->stall_seconds,
                                    .first_delay_seconds = file->first_delay_seconds};
    return http_download(&d, &sink, st);
}

/* The right digest, or nothing stays. */
static status_code check_digest(struct part *part, struct fetch_outcome *out, struct status *st)
{
    status_code code = digest_part(part, out->sha256, st);
    if (code != STATUS_OK) return code;
    const struct fetched_file *file = part->file;
    if (!file->sha256 || strcmp(out->sha256, file->sha256) == 0) return STATUS_OK;
    unlink(part->path);
    return differs(file->url, out->sha256, file, "it is another file, and was not kept", st);
}

static status_code fill_part(struct part *part, struct fetch_outcome *out, struct status *st)
{
    int64_t began_with = part->have;
    status_code code = download(part, st);
    if (code == STATUS_BAD_INPUT || code == STATUS_NOT_FOUND || code == STATUS_LIMIT) {
        if (!part->have || code != STATUS_NOT_FOUND) unlink(part->path);
        return code;
    }
    if (code != STATUS_OK) return code;
    struct status first = {0};
    code = check_digest(part, out, &first);
    if (code == STATUS_OK) return code;
    if (code != STATUS_BAD_INPUT || began_with == 0) {
        *st = first;
        return code;
    }
    /* What lay there from before may be of another file: once more, from the first byte. */
    close(part->fd);
    code = open_part(part, st);
    if (code == STATUS_OK) code = download(part, st);
    return code == STATUS_OK ? check_digest(part, out, st) : code;
}

status_code fetch_file(const struct fetched_file *file, const struct fetch_listener *listener,
                       struct fetch_outcome *out, struct status *st)
{
    struct part part = {.file = file, .listener = listener, .fd = -1};
    status_code code = look(file, out, st);
    if (code != STATUS_OK || out->was_there) return code;
    int n = snprintf(part.path, sizeof part.path, "%s.part", file->path);
    if (n < 0 || (size_t)n >= sizeof part.path)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", file->path);
    code = fetch_make_folders(file->path, st);
    if (code == STATUS_OK) code = open_part(&part, st);
    if (code == STATUS_OK) code = fill_part(&part, out, st);
    if (code == STATUS_OK) {
        out->bytes = part.have;
        /* On the disk before it has its name: a power cut must not leave an empty file there. */
        if (fsync(part.fd) != 0 || rename(part.path, file->path) != 0) code = io_error(&part, st);
    }
    if (part.fd >= 0) close(part.fd);
    return code;
}
