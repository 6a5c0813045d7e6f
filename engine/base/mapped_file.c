#define _DEFAULT_SOURCE /* madvise(): its POSIX twin does nothing on Linux */
#include "engine/base/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned char no_bytes[1]; /* what an empty file's data points to */

static int64_t modified_at(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

static status_code map_descriptor(struct mapped_file *file, int fd, const char *path,
                                  struct status *st)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return status_set(st, STATUS_BAD_INPUT, "%s: is a directory, expected a file", path);
    if (!S_ISREG(info.st_mode))
        return status_set(st, STATUS_BAD_INPUT, "%s: is not a regular file", path);
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return status_set(st, STATUS_LIMIT, "%s: is larger than the address space", path);
    file->data = no_bytes;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    file->modified = modified_at(&info);
    if (info.st_size == 0) return STATUS_OK;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return status_set(st, STATUS_IO, "%s: cannot map it into memory: %s", path,
                          strerror(errno));
    file->data = data;
    file->size = (size_t)info.st_size;
    return STATUS_OK;
}

status_code mapped_file_init(struct mapped_file *file, const char *path, struct status *st)
{
    *file = (struct mapped_file){0};
    /* Without O_NONBLOCK, opening a pipe waits for a writer that may never come. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return status_set(st, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(errno));
    status_code code = map_descriptor(file, fd, path, st);
    close(fd);
    if (code != STATUS_OK) *file = (struct mapped_file){0};
    return code;
}

status_code mapped_file_check(const struct mapped_file *file, const char *path, struct status *st)
{
    struct stat info;
    bool is_there = stat(path, &info) == 0;
    if (!is_there && errno != ENOENT)
        return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    /* Removed, or another file by now: the mapped one stays as it was. */
    if (!is_there || info.st_dev != file->device || info.st_ino != file->inode) return STATUS_OK;
    if ((uintmax_t)info.st_size < file->size)
        return status_set(st, STATUS_IO,
                          "%s: was cut short while it was in use, from %zu bytes to %jd", path,
                          file->size, (intmax_t)info.st_size);
    if ((uintmax_t)info.st_size != file->size || modified_at(&info) != file->modified)
        return status_set(st, STATUS_IO, "%s: was written to while it was in use", path);
    return STATUS_OK;
}

void mapped_bytes_forget(const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)data + bytes) / page * page;
    if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Linux maps, with the page that is looked at, the 64 KiB around it (fault_around_bytes) and since
 * 6.18 the whole folio, which is at most a huge page.  Nothing outside of the bytes is touched: it
 * may be no file's. */
void mapped_bytes_forget_near(const void *data, size_t bytes, size_t at, size_t n)
{
    const size_t side = (size_t)2 << 20;
    size_t from = at > side ? at - side : 0;
    size_t to = bytes - at - n > side ? at + n + side : bytes;
    mapped_bytes_forget((const unsigned char *)data + from, to - from);
}

void mapped_file_release(struct mapped_file *file)
{
    /* munmap() takes the address without const and does not write through it. */
    if (file->size) munmap((void *)(uintptr_t)file->data, file->size);
    *file = (struct mapped_file){0};
}
