#include "datasets/dataset.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/file_reader.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

struct read_file {
    const char *path; /* below the data directory, as stored: "gsm8k/test.jsonl.gz" */
    char sha256[SHA256_HEX_SIZE];
    enum manifest_match match;
};

struct dataset {
    struct arena arena;
    const char *name;
    const char *directory;
    enum dataset_origin origin;
    struct manifest *manifest; /* NULL: the program carries none */
    struct read_file *files;
    size_t n_files;
};

const char *dataset_origin_name(enum dataset_origin origin)
{
    static const char *const names[] = {"named", "environment", "cache", "demo"};
    return names[origin];
}

/* ---- where the files are ---- */

/* PARTS joined without anything between them, in the arena; NULL: out of memory. */
static char *join(struct arena *arena, const char *const *parts, size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) length += strlen(parts[i]);
    char *whole = arena_alloc(arena, length + 1), *to = whole;
    for (size_t i = 0; whole && i < n; i++) {
        size_t part = strlen(parts[i]);
        memcpy(to, parts[i], part);
        to += part;
    }
    return whole;
}
#define JOIN(arena, ...)                                                                           \
    join(arena, (const char *const[]){__VA_ARGS__},                                                \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static bool is_folder(const char *path)
{
    struct stat info;
    return path && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The folder of fetched datasets; NULL where the environment names no home. */
static const char *cache_directory(struct arena *arena)
{
    const char *cache = environment("XDG_CACHE_HOME"), *home = environment("HOME");
    if (cache) return JOIN(arena, cache, "/assay/datasets");
    return home ? JOIN(arena, home, "/.cache/assay/datasets") : NULL;
}

const char *dataset_directory_to_fill(struct arena *arena, const char *data_dir)
{
    if (data_dir) return data_dir;
    const char *variable = environment("ASSAY_DATA");
    return variable ? variable : cache_directory(arena);
}

static bool use_if_present(struct dataset *dataset, const char *directory,
                           enum dataset_origin origin)
{
    if (!directory || !is_folder(JOIN(&dataset->arena, directory, "/", dataset->name)))
        return false;
    dataset->directory = arena_strdup(&dataset->arena, directory);
    dataset->origin = origin;
    return dataset->directory != NULL;
}

static status_code find_directory(struct dataset *dataset, const struct dataset_lookup *lookup,
                                  struct status *st)
{
    const char *name = dataset->name, *variable = environment("ASSAY_DATA");
    if (lookup->data_dir) {
        if (use_if_present(dataset, lookup->data_dir, DATASET_NAMED)) return STATUS_OK;
        return status_set(st, STATUS_NOT_FOUND, "data directory %s has no folder %s",
                          lookup->data_dir, name);
    }
    if (variable) {
        if (use_if_present(dataset, variable, DATASET_ENVIRONMENT)) return STATUS_OK;
        return status_set(st, STATUS_NOT_FOUND, "data directory %s ($ASSAY_DATA) has no folder %s",
                          variable, name);
    }
    const char *cache = cache_directory(&dataset->arena);
    if (use_if_present(dataset, cache, DATASET_CACHE)) return STATUS_OK;
    if (use_if_present(dataset, lookup->demo_dir, DATASET_DEMO)) return STATUS_OK;
    return status_set(st, STATUS_NOT_FOUND,
                      "dataset %s is neither in %s nor among the demo samples; name a directory "
                      "that holds it with --data, or try assay fetch dataset %s",
                      name, cache ? cache : "a cache directory", name);
}

status_code dataset_open(struct dataset **out, const struct dataset_lookup *lookup,
                         const char *name, struct status *st)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset) return status_no_memory(st, "a dataset");
    arena_init(&dataset->arena, LIMIT_DATASET_BYTES);
    dataset->name = arena_strdup(&dataset->arena, name);
    status_code code = dataset->name ? STATUS_OK : status_no_memory(st, "a dataset");
    if (code == STATUS_OK) code = find_directory(dataset, lookup, st);
    if (code == STATUS_OK && dataset->origin != DATASET_DEMO)
        code = manifest_open(&dataset->manifest, name, st);
    if (code != STATUS_OK) {
        dataset_free(dataset);
        return code;
    }
    *out = dataset;
    return STATUS_OK;
}

void dataset_free(struct dataset *dataset)
{
    if (!dataset) return;
    manifest_free(dataset->manifest);
    arena_release(&dataset->arena);
    free(dataset);
}

const char *dataset_directory(const struct dataset *dataset)
{
    return dataset->directory;
}

enum dataset_origin dataset_origin(const struct dataset *dataset)
{
    return dataset->origin;
}

struct arena *dataset_arena(struct dataset *dataset)
{
    return &dataset->arena;
}

void *dataset_grow(struct dataset *dataset, void *items, size_t count, size_t item_size)
{
    const size_t first = 64;
    bool full = count == 0 || (count >= first && (count & (count - 1)) == 0);
    if (!full) return items;
    if (count > SIZE_MAX / 2) return NULL;
    void *larger = arena_array(&dataset->arena, count ? 2 * count : first, item_size);
    if (larger && count) memcpy(larger, items, count * item_size);
    return larger;
}

/* ---- reading files ---- */

const char *dataset_name_file(struct dataset *dataset, const char *format, ...)
{
    char name[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof name) return NULL;
    return arena_strdup(&dataset->arena, name);
}

const char *dataset_path(struct dataset *dataset, const char *relative)
{
    return JOIN(&dataset->arena, dataset->directory, "/", dataset->name, "/", relative);
}

/* The file's path, with ".gz" where only the packed one is there; NULL: out of memory. */
static const char *stored_path(struct dataset *dataset, const char *relative, bool *packed)
{
    const char *plain = dataset_path(dataset, relative);
    const char *gz = plain ? JOIN(&dataset->arena, plain, ".gz") : NULL;
    *packed = gz && access(plain, F_OK) != 0 && access(gz, F_OK) == 0;
    return *packed ? gz : plain;
}

bool dataset_has(struct dataset *dataset, const char *relative)
{
    bool packed;
    const char *path = stored_path(dataset, relative, &packed);
    return path && access(path, F_OK) == 0;
}

/* Keeps what the provenance of a run needs to say about a file. */
static status_code remember(struct dataset *dataset, const char *relative, bool packed,
                            const struct file_digests *digests, struct status *st)
{
    const char *official = JOIN(&dataset->arena, dataset->name, "/", relative);
    struct read_file *files =
        dataset_grow(dataset, dataset->files, dataset->n_files, sizeof *files);
    const char *path = official && packed ? JOIN(&dataset->arena, official, ".gz") : official;
    if (!path || !files) return status_no_memory(st, "a dataset's files");
    dataset->files = files;
    struct read_file *file = &files[dataset->n_files++];
    file->path = path;
    file->match = manifest_compare(dataset->manifest, official, digests->content);
    memcpy(file->sha256, digests->stored, SHA256_HEX_SIZE);
    return STATUS_OK;
}

status_code dataset_read(struct dataset *dataset, const char *relative, struct strbuf *out,
                         struct status *st)
{
    bool packed;
    struct file_digests digests;
    strbuf_init(out, LIMIT_DATASET_BYTES);
    const char *path = stored_path(dataset, relative, &packed);
    if (!path) return status_no_memory(st, relative);
    status_code code = file_read(out, &digests, path, st);
    if (code == STATUS_OK && !out->length)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file is empty", path);
    return code == STATUS_OK ? remember(dataset, relative, packed, &digests, st) : code;
}

/* The strings of an array, as a NULL-terminated list in the arena. */
static status_code copy_names(struct dataset *dataset, const struct json_value *array,
                              const char *const **out, struct status *st)
{
    const char **names = arena_array(&dataset->arena, json_count(array) + 1, sizeof *names);
    if (!names) return status_no_memory(st, "a list of names");
    size_t n = 0;
    for (const struct json_value *v = json_first(array); v; v = json_next(v)) {
        if (json_kind(v) != JSON_STRING)
            return status_set(st, STATUS_BAD_INPUT, "holds %s, expected only strings",
                              json_kind_name(json_kind(v)));
        struct text name = json_text(v);
        names[n] = arena_strndup(&dataset->arena, name.data, name.length);
        if (!names[n++]) return status_no_memory(st, "a list of names");
    }
    *out = names;
    return STATUS_OK;
}

status_code dataset_listed(struct dataset *dataset, const char *key, const char *const **out,
                           struct status *st)
{
    *out = NULL;
    const char *path = JOIN(&dataset->arena, dataset->directory, "/manifest.json");
    if (!path) return status_no_memory(st, "a path");
    if (access(path, F_OK) != 0) return STATUS_OK;
    struct json_value *root;
    const struct json_value *array;
    status_code code = json_parse_file(&root, path, LIMIT_CONFIG_BYTES, st);
    if (code != STATUS_OK) return code;
    if (json_has(root, key)) {
        code = json_get_array(root, key, &array, st);
        if (code == STATUS_OK) code = copy_names(dataset, array, out, st);
        if (code != STATUS_OK) status_prefix(st, "%s: \"%s\"", path, key);
    }
    json_free(root);
    return code;
}

/* ---- what was read ---- */

static int by_path(const void *a, const void *b)
{
    const struct read_file *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

status_code dataset_sha256(const struct dataset *dataset, char hex[SHA256_HEX_SIZE],
                           struct status *st)
{
    const struct read_file **sorted = calloc(dataset->n_files + 1, sizeof *sorted);
    if (!sorted) return status_no_memory(st, "a dataset's files");
    for (size_t i = 0; i < dataset->n_files; i++) sorted[i] = &dataset->files[i];
    qsort(sorted, dataset->n_files, sizeof *sorted, by_path);
    struct strbuf lines;
    strbuf_init(&lines, LIMIT_CONFIG_BYTES);
    for (size_t i = 0; i < dataset->n_files; i++)
        strbuf_appendf(&lines, "%s  %s\n", sorted[i]->sha256, sorted[i]->path);
    status_code code = strbuf_check(&lines, "list of a dataset's files", st);
    if (code == STATUS_OK) sha256_text((struct text){lines.data, lines.length}, hex);
    strbuf_release(&lines);
    free(sorted);
    return code;
}

enum manifest_match dataset_matches_manifest(const struct dataset *dataset)
{
    enum manifest_match match = dataset->n_files ? MANIFEST_SAME : MANIFEST_UNKNOWN;
    for (size_t i = 0; i < dataset->n_files; i++) {
        if (dataset->files[i].match == MANIFEST_DIFFERENT) return MANIFEST_DIFFERENT;
        if (dataset->files[i].match == MANIFEST_UNKNOWN) match = MANIFEST_UNKNOWN;
    }
    return match;
}
