#include "engine/tokenizer/tokenizer_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/tokenizer/tokenizer_compiled.h"

#define LIMIT_PATH 3900 /* leaves room for a temporary file's ending */

/* $XDG_CACHE_HOME/assay/tokenizers or ~/.cache/assay/tokenizers; false where neither is set. */
static bool cache_folder(struct strbuf *out)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        strbuf_appendf(out, "%s/assay/tokenizers", cache);
    else if (home && *home == '/')
        strbuf_appendf(out, "%s/.cache/assay/tokenizers", home);
    return out->length && out->state == STATUS_OK;
}

/* The digest of a file beside the source, or "" where there is none. */
static void digest_beside(const char *directory, const char *name, char digest[SHA256_HEX_SIZE])
{
    struct strbuf path;
    struct status ignored = {0};
    strbuf_init(&path, LIMIT_PATH);
    strbuf_appendf(&path, "%s/%s", directory, name);
    if (path.state != STATUS_OK || sha256_file(path.data, digest, &ignored) != STATUS_OK)
        digest[0] = '\0';
    strbuf_release(&path);
}

void tokenizer_cache_key(struct tokenizer_cache_key *key, struct text source, const char *directory)
{
    static const char *const beside[] = {"tokenizer_config.json", "chat_template.jinja",
                                         "chat_template.json", "generation_config.json",
                                         "config.json"};
    char program[SHA256_HEX_SIZE], part[SHA256_HEX_SIZE], name[SHA256_HEX_SIZE];
    struct strbuf text, path;
    struct status ignored = {0};
    *key = (struct tokenizer_cache_key){.path = ""};
    strbuf_init(&text, 8 * SHA256_HEX_SIZE);
    strbuf_init(&path, LIMIT_PATH);
    bool good =
        cache_folder(&path) && sha256_file("/proc/self/exe", program, &ignored) == STATUS_OK;
    if (good) {
        sha256_text(source, part);
        strbuf_appendf(&text, "%s\n", part);
        for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
            digest_beside(directory, beside[i], part);
            strbuf_appendf(&text, "%s\n", part);
        }
        sha256_text((struct text){text.data, text.length}, name);
        strbuf_appendf(&text, "%s", program);
        sha256_text((struct text){text.data, text.length}, key->digest);
        strbuf_appendf(&path, "/%s", name);
        if (path.state == STATUS_OK) memcpy(key->path, path.data, path.length + 1);
    }
    strbuf_release(&text);
    strbuf_release(&path);
}

/* The user's own, and nobody else may write it. */
static bool is_own_file(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
           !(info.st_mode & (S_IWGRP | S_IWOTH));
}

bool tokenizer_cache_load(struct tokenizer **out, const struct tokenizer_cache_key *key)
{
    struct status ignored = {0};
    struct mapped_file file;
    if (!key->path[0] || !is_own_file(key->path) ||
        mapped_file_init(&file, key->path, &ignored) != STATUS_OK)
        return false;
    bool good = file.size <= LIMIT_TOKENIZER_MEMORY &&
                tokenizer_from_compiled(out, &file, key->digest, &ignored) == STATUS_OK;
    if (!good) mapped_file_release(&file);
    return good;
}

/* Makes the folders of a path, as far as they are missing. */
static bool make_folders(const char *path)
{
    char folder[sizeof((struct tokenizer_cache_key *)0)->path];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST) return false;
        *p = '/';
    }
    return true;
}

static bool write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t written = write(fd, data, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        n -= (size_t)written;
    }
    return true;
}

/* Whole under its name or not at all: other programs may read or write the same file meanwhile. */
void tokenizer_cache_save(const struct tokenizer *tokenizer, const struct tokenizer_cache_key *key)
{
    struct strbuf bytes;
    struct status ignored = {0};
    char temporary[sizeof key->path + 32];
    if (!key->path[0] || !make_folders(key->path)) return;
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", key->path);
    strbuf_init(&bytes, LIMIT_TOKENIZER_MEMORY);
    if (tokenizer_compile(tokenizer, key->digest, &bytes, &ignored) == STATUS_OK) {
        int fd = mkstemp(temporary);
        if (fd >= 0) {
            bool good = write_all(fd, bytes.data, bytes.length);
            good = close(fd) == 0 && good;
            if (!good || rename(temporary, key->path) != 0) unlink(temporary);
        }
    }
    strbuf_release(&bytes);
}
