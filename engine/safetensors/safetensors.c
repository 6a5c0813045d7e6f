#include "engine/safetensors/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/mapped_file.h"
#include "engine/base/utf8.h"

/* Memory for names: every tensor and every row of the index may have the longest one. */
#define NAMES_ARENA_BYTES ((size_t)4 * LIMIT_TENSOR_COUNT * (LIMIT_TENSOR_NAME + 64))
/* JSON numbers are doubles; above 2^53 they would no longer be exact. */
#define MAX_JSON_WHOLE    9007199254740992.0

struct shard {
    const char *path;
    struct mapped_file map;
};

struct entry {
    struct tensor_view view;
    const char *unreadable; /* "dtype I64"; NULL for tensors that have a view */
    size_t shard;
    uint64_t from, to; /* bytes, from the start of the shard's data */
};

struct safetensors {
    struct arena arena;
    struct shard *shards;
    size_t n_shards;
    struct entry *entries; /* in the order of names once everything is loaded */
    size_t n_entries;
    const struct entry **readable;
    size_t n_readable;
};

/* A header while it is read. */
struct reader {
    struct safetensors *files;
    struct shard *shard;
    size_t header_end;
    struct status *st;
};

/* One row of an index: which shard holds a tensor. */
struct index_row {
    const char *tensor;
    const char *shard;
};

static const struct dtype {
    const char *name;
    unsigned bits;
    bool is_readable;
    enum tensor_type type; /* of the readable ones */
} dtypes[] = {
    {"F32", 32, true, TENSOR_F32},  {"F16", 16, true, TENSOR_F16},  {"BF16", 16, true, TENSOR_BF16},
    {.name = "BOOL", .bits = 8},    {.name = "U8", .bits = 8},      {.name = "I8", .bits = 8},
    {.name = "U16", .bits = 16},    {.name = "I16", .bits = 16},    {.name = "U32", .bits = 32},
    {.name = "I32", .bits = 32},    {.name = "U64", .bits = 64},    {.name = "I64", .bits = 64},
    {.name = "F64", .bits = 64},    {.name = "C64", .bits = 64},    {.name = "F8_E4M3", .bits = 8},
    {.name = "F8_E5M2", .bits = 8}, {.name = "F8_E8M0", .bits = 8}, {.name = "F6_E2M3", .bits = 6},
    {.name = "F6_E3M2", .bits = 6}, {.name = "F4", .bits = 4},
};

PRINTF_LIKE(3, 4)
static status_code fail(const struct reader *r, status_code code, const char *format, ...)
{
    char reason[sizeof r->st->message];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return status_set(r->st, code, "%s: %s", r->shard->path, reason);
}

/* ---- one tensor ---- */

static bool whole_number(const struct json_value *value, uint64_t *out)
{
    if (json_kind(value) != JSON_NUMBER) return false;
    double number = json_number(value);
    if (!(number >= 0 && number <= MAX_JSON_WHOLE) || number != floor(number)) return false;
    *out = (uint64_t)number;
    return true;
}

static const struct dtype *find_dtype(struct text name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (text_equal(name, text_of(dtypes[i].name))) return &dtypes[i];
    return NULL;
}

/* Reads the sizes into the view as far as it has room; *count is their product. */
static status_code read_shape(struct reader *r, const struct json_value *shape, struct entry *entry,
                              uint64_t *count)
{
    struct tensor_view *view = &entry->view;
    size_t n_dims = 0;
    *count = 1;
    for (const struct json_value *v = json_first(shape); v; v = json_next(v)) {
        uint64_t size;
        if (!whole_number(v, &size))
            return fail(r, STATUS_BAD_INPUT,
                        "tensor \"%.80s\": \"shape\" holds something that is not a size",
                        view->name);
        if (size && *count > UINT64_MAX / size)
            return fail(r, STATUS_BAD_INPUT,
                        "tensor \"%.80s\" has more elements than 64 bits can count", view->name);
        *count *= size;
        if (n_dims < LIMIT_TENSOR_DIMS) view->shape[n_dims] = size;
        n_dims++;
    }
    view->n_dims = n_dims ? (int)n_dims : 1;
    if (!n_dims) view->shape[0] = 1;
    if (n_dims <= LIMIT_TENSOR_DIMS) return STATUS_OK;
    char reason[40];
    snprintf(reason, sizeof reason, "%zu dimensions", n_dims);
    view->n_dims = LIMIT_TENSOR_DIMS;
    entry->unreadable = arena_strdup(&r->files->arena, reason);
    return entry->unreadable ? STATUS_OK : status_no_memory(r->st, r->shard->path);
}

static status_code read_dtype(struct reader *r, struct text name, struct entry *entry,
                              unsigned *bits)
{
    const struct dtype *dtype = find_dtype(name);
    if (!dtype)
        return fail(r, STATUS_UNSUPPORTED,
                    "tensor \"%.80s\" has dtype \"%.*s\", which this build does not know",
                    entry->view.name, (int)(name.length < 40 ? name.length : 40), name.data);
    *bits = dtype->bits;
    entry->view.type = dtype->type;
    if (dtype->is_readable) return STATUS_OK;
    char reason[40];
    snprintf(reason, sizeof reason, "dtype %s", dtype->name);
    entry->unreadable = arena_strdup(&r->files->arena, reason);
    return entry->unreadable ? STATUS_OK : status_no_memory(r->st, r->shard->path);
}

static status_code read_offsets(struct reader *r, const struct json_value *offsets,
                                struct entry *entry)
{
    const struct json_value *from = json_first(offsets);
    const struct json_value *to = from ? json_next(from) : NULL;
    if (!to || json_next(to) || !whole_number(from, &entry->from) || !whole_number(to, &entry->to))
        return fail(r, STATUS_BAD_INPUT,
                    "tensor \"%.80s\": \"data_offsets\" is not a pair of byte offsets",
                    entry->view.name);
    uint64_t room = r->shard->map.size - r->header_end;
    if (entry->from > entry->to)
        return fail(r, STATUS_BAD_INPUT,
                    "tensor \"%.80s\" ends at byte %" PRIu64 ", before its start at %" PRIu64,
                    entry->view.name, entry->to, entry->from);
    if (entry->to > room)
        return fail(r, STATUS_BAD_INPUT,
                    "tensor \"%.80s\" ends at byte %" PRIu64
                    " of the data and the file has %" PRIu64 ": it is incomplete, fetch it again",
                    entry->view.name, entry->to, room);
    entry->view.data = r->shard->map.data + r->header_end + entry->from;
    entry->view.bytes = (size_t)(entry->to - entry->from);
    return STATUS_OK;
}

/* Shape, dtype and offsets must tell the same number of bytes. */
static status_code check_bytes(const struct reader *r, const struct entry *entry, uint64_t count,
                               unsigned bits)
{
    if (count > UINT64_MAX / bits)
        return fail(r, STATUS_BAD_INPUT, "tensor \"%.80s\" has more bits than 64 bits can count",
                    entry->view.name);
    uint64_t total = count * bits;
    if (total % 8 != 0)
        return fail(r, STATUS_BAD_INPUT,
                    "tensor \"%.80s\" has %" PRIu64
                    " values of %u bits, which are no whole number of bytes",
                    entry->view.name, count, bits);
    if (total / 8 != entry->view.bytes)
        return fail(r, STATUS_BAD_INPUT,
                    "tensor \"%.80s\" has %zu bytes, its shape and dtype need %" PRIu64,
                    entry->view.name, entry->view.bytes, total / 8);
    return STATUS_OK;
}

static status_code read_tensor(struct reader *r, const struct json_value *value,
                               struct entry *entry)
{
    struct text name = text_of(json_key(value));
    if (name.length > LIMIT_TENSOR_NAME)
        return fail(r, STATUS_LIMIT, "the tensor name \"%.40s...\" is longer than %d bytes",
                    name.data, LIMIT_TENSOR_NAME);
    if (!utf8_valid(name)) return fail(r, STATUS_BAD_INPUT, "a tensor name holds a NUL");
    *entry = (struct entry){.shard = (size_t)(r->shard - r->files->shards)};
    entry->view.name = arena_strdup(&r->files->arena, name.data);
    if (!entry->view.name) return status_no_memory(r->st, r->shard->path);
    struct text dtype = {0};
    const struct json_value *shape = NULL, *offsets = NULL;
    status_code code = json_get_text(value, "dtype", &dtype, r->st);
    if (code == STATUS_OK) code = json_get_array(value, "shape", &shape, r->st);
    if (code == STATUS_OK) code = json_get_array(value, "data_offsets", &offsets, r->st);
    if (code != STATUS_OK)
        return status_prefix(r->st, "%s: tensor \"%.80s\"", r->shard->path, entry->view.name);
    uint64_t count = 0;
    unsigned bits = 1;
    code = read_shape(r, shape, entry, &count);
    if (code == STATUS_OK) code = read_dtype(r, dtype, entry, &bits);
    if (code == STATUS_OK) code = read_offsets(r, offsets, entry);
    return code == STATUS_OK ? check_bytes(r, entry, count, bits) : code;
}

/* ---- one file ---- */

static status_code check_metadata(const struct reader *r, const struct json_value *metadata)
{
    bool good = json_kind(metadata) == JSON_OBJECT;
    for (const struct json_value *v = good ? json_first(metadata) : NULL; v; v = json_next(v))
        good = good && json_kind(v) == JSON_STRING;
    if (good) return STATUS_OK;
    return fail(r, STATUS_BAD_INPUT, "\"__metadata__\" is not an object of strings");
}

static int compare_offsets(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = (left->from > right->from) - (left->from < right->from);
    return order ? order : (left->to > right->to) - (left->to < right->to);
}

/* The tensors of a file follow each other without a gap and end with it. */
static status_code check_layout(const struct reader *r, struct entry *entries, size_t n)
{
    uint64_t end = 0, room = r->shard->map.size - r->header_end;
    qsort(entries, n, sizeof *entries, compare_offsets);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].from < end)
            return fail(r, STATUS_BAD_INPUT, "tensors \"%.80s\" and \"%.80s\" overlap",
                        entries[i - 1].view.name, entries[i].view.name);
        if (entries[i].from > end)
            return fail(r, STATUS_BAD_INPUT,
                        "%" PRIu64 " bytes before tensor \"%.80s\" belong to none",
                        entries[i].from - end, entries[i].view.name);
        end = entries[i].to;
    }
    if (end != room)
        return fail(r, STATUS_BAD_INPUT, "%" PRIu64 " bytes behind the last tensor belong to none",
                    room - end);
    return STATUS_OK;
}

static status_code read_members(struct reader *r, const struct json_value *root)
{
    struct safetensors *files = r->files;
    size_t total = files->n_entries + json_count(root);
    if (total > LIMIT_TENSOR_COUNT)
        return fail(r, STATUS_LIMIT, "brings the model to %zu tensors, more than %d", total,
                    LIMIT_TENSOR_COUNT);
    struct entry *entries = realloc(files->entries, (total + 1) * sizeof *entries);
    if (!entries) return status_no_memory(r->st, r->shard->path);
    files->entries = entries;
    size_t first = files->n_entries;
    for (const struct json_value *v = json_first(root); v; v = json_next(v)) {
        bool is_metadata = strcmp(json_key(v), "__metadata__") == 0;
        status_code code =
            is_metadata ? check_metadata(r, v) : read_tensor(r, v, &entries[files->n_entries]);
        if (code != STATUS_OK) return code;
        if (!is_metadata) files->n_entries++;
    }
    return check_layout(r, entries + first, files->n_entries - first);
}

static status_code read_header(struct reader *r)
{
    const struct mapped_file *map = &r->shard->map;
    uint64_t length;
    if (map->size < sizeof length)
        return fail(r, STATUS_BAD_INPUT,
                    "is not a safetensors file: it has %zu bytes and no header", map->size);
    memcpy(&length, map->data, sizeof length);
    if (length > map->size - sizeof length)
        return fail(r, STATUS_BAD_INPUT,
                    "claims a header of %" PRIu64 " bytes and has %zu: it is no safetensors file "
                    "or incomplete",
                    length, map->size - sizeof length);
    if (length > LIMIT_SAFETENSORS_HEADER)
        return fail(r, STATUS_LIMIT, "has a header of %" PRIu64 " bytes, more than %u", length,
                    LIMIT_SAFETENSORS_HEADER);
    struct text header = {(const char *)map->data + sizeof length, (size_t)length};
    if (!header.length || header.data[0] != '{')
        return fail(r, STATUS_BAD_INPUT, "has a header that does not start with '{'");
    r->header_end = sizeof length + header.length;
    struct json_value *root = NULL;
    if (json_parse(&root, header, r->st) != STATUS_OK)
        return status_prefix(r->st, "%s: header", r->shard->path);
    status_code code = read_members(r, root);
    json_free(root);
    return code;
}

/* Opens the next shard; there is room for it in `shards`. */
static status_code load_shard(struct safetensors *files, const char *path, struct status *st)
{
    struct shard *shard = &files->shards[files->n_shards];
    shard->path = path;
    status_code code = mapped_file_init(&shard->map, path, st);
    if (code != STATUS_OK) return code;
    files->n_shards++;
    struct reader reader = {.files = files, .shard = shard, .st = st};
    return read_header(&reader);
}

/* ---- all files ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = strcmp(left->view.name, right->view.name);
    return order ? order : (left->shard > right->shard) - (left->shard < right->shard);
}

static status_code sort_entries(struct safetensors *files, struct status *st)
{
    struct entry *entries = files->entries;
    qsort(entries, files->n_entries, sizeof *entries, compare_entries);
    files->readable = malloc((files->n_entries + 1) * sizeof *files->readable);
    if (!files->readable) return status_no_memory(st, files->shards[0].path);
    for (size_t i = 0; i < files->n_entries; i++) {
        if (!entries[i].unreadable) files->readable[files->n_readable++] = &entries[i];
        if (i == 0 || strcmp(entries[i].view.name, entries[i - 1].view.name) != 0) continue;
        if (entries[i].shard == entries[i - 1].shard)
            return status_set(st, STATUS_BAD_INPUT, "%s: tensor \"%.80s\" is given twice",
                              files->shards[entries[i].shard].path, entries[i].view.name);
        return status_set(st, STATUS_BAD_INPUT, "%s: tensor \"%.80s\" is also in %s",
                          files->shards[entries[i].shard].path, entries[i].view.name,
                          files->shards[entries[i - 1].shard].path);
    }
    return STATUS_OK;
}

static int compare_to_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const struct entry *)entry)->view.name);
}

static const struct entry *find_entry(const struct safetensors *files, const char *name)
{
    return files->n_entries ? bsearch(name, files->entries, files->n_entries,
                                      sizeof *files->entries, compare_to_entry)
                            : NULL;
}

/* ---- the index of a sharded model ---- */

static const char *join(struct arena *arena, const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = arena_alloc(arena, size);
    if (path) snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct index_row *)a)->tensor, ((const struct index_row *)b)->tensor);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Shards lie beside their index: a name that leads elsewhere is refused. */
static bool is_plain_file_name(struct text name)
{
    return name.length && name.data[0] != '.' && strlen(name.data) == name.length &&
           !strchr(name.data, '/');
}

static status_code read_rows(struct arena *arena, const char *path, const struct json_value *map,
                             struct index_row *rows, struct status *st)
{
    size_t n = 0;
    for (const struct json_value *v = json_first(map); v; v = json_next(v)) {
        const char *tensor = json_key(v);
        if (json_kind(v) != JSON_STRING || !is_plain_file_name(json_text(v)))
            return status_set(st, STATUS_BAD_INPUT,
                              "%s: the shard of tensor \"%.80s\" is not a plain file name", path,
                              tensor);
        rows[n].tensor = arena_strdup(arena, tensor);
        rows[n].shard = arena_strdup(arena, json_text(v).data);
        if (!rows[n].tensor || !rows[n].shard) return status_no_memory(st, path);
        n++;
    }
    qsort(rows, n, sizeof *rows, compare_rows);
    for (size_t i = 1; i < n; i++)
        if (strcmp(rows[i].tensor, rows[i - 1].tensor) == 0)
            return status_set(st, STATUS_BAD_INPUT, "%s: tensor \"%.80s\" is given twice", path,
                              rows[i].tensor);
    return STATUS_OK;
}

static status_code rows_of_index(struct arena *arena, const char *path,
                                 const struct json_value *root, struct index_row **rows,
                                 size_t *n_rows, struct status *st)
{
    const struct json_value *map = NULL;
    status_code code = json_get_object(root, "weight_map", &map, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", path);
    *n_rows = json_count(map);
    if (*n_rows == 0) return status_set(st, STATUS_BAD_INPUT, "%s: \"weight_map\" is empty", path);
    if (*n_rows > LIMIT_TENSOR_COUNT)
        return status_set(st, STATUS_LIMIT, "%s: names %zu tensors, more than %d", path, *n_rows,
                          LIMIT_TENSOR_COUNT);
    *rows = arena_array(arena, *n_rows, sizeof **rows);
    if (!*rows) return status_no_memory(st, path);
    return read_rows(arena, path, map, *rows, st);
}

static status_code read_index(struct arena *arena, const char *path, struct index_row **rows,
                              size_t *n_rows, struct status *st)
{
    struct mapped_file file;
    status_code code = mapped_file_init(&file, path, st);
    if (code != STATUS_OK) return code;
    struct json_value *root = NULL;
    code = json_parse(&root, (struct text){(const char *)file.data, file.size}, st);
    code = code == STATUS_OK ? rows_of_index(arena, path, root, rows, n_rows, st)
                             : status_prefix(st, "%s", path);
    json_free(root);
    mapped_file_release(&file);
    return code;
}

/* Opens every shard that the index names, in the order of their names. */
static status_code load_shards(struct safetensors *files, const char *index, const char *directory,
                               const struct index_row *rows, size_t n_rows, struct status *st)
{
    const char **names = arena_array(&files->arena, n_rows, sizeof *names);
    if (!names) return status_no_memory(st, index);
    for (size_t i = 0; i < n_rows; i++) names[i] = rows[i].shard;
    qsort(names, n_rows, sizeof *names, compare_strings);
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++)
        if (n == 0 || strcmp(names[i], names[n - 1]) != 0) names[n++] = names[i];
    if (n > LIMIT_SHARDS)
        return status_set(st, STATUS_LIMIT, "%s: names %zu shards, more than %d", index, n,
                          LIMIT_SHARDS);
    files->shards = calloc(n, sizeof *files->shards);
    if (!files->shards) return status_no_memory(st, index);
    for (size_t i = 0; i < n; i++) {
        const char *path = join(&files->arena, directory, names[i]);
        if (!path) return status_no_memory(st, index);
        status_code code = load_shard(files, path, st);
        if (code == STATUS_NOT_FOUND)
            return status_set(st, code, "%s: shard %s is not there: fetch it too", index, path);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

static status_code check_index(const struct safetensors *files, const char *index,
                               const struct index_row *rows, size_t n_rows, struct status *st)
{
    for (size_t i = 0; i < n_rows; i++) {
        const struct entry *entry = find_entry(files, rows[i].tensor);
        const char *path = entry ? files->shards[entry->shard].path : NULL;
        if (path && strcmp(strrchr(path, '/') + 1, rows[i].shard) == 0) continue;
        return status_set(st, STATUS_BAD_INPUT, "%s: tensor \"%.80s\" is not in its shard %s",
                          index, rows[i].tensor, rows[i].shard);
    }
    return STATUS_OK;
}

static status_code load_sharded(struct safetensors *files, const char *directory, const char *index,
                                struct status *st)
{
    struct index_row *rows = NULL;
    size_t n_rows = 0;
    status_code code = read_index(&files->arena, index, &rows, &n_rows, st);
    if (code == STATUS_OK) code = load_shards(files, index, directory, rows, n_rows, st);
    if (code == STATUS_OK) code = sort_entries(files, st);
    return code == STATUS_OK ? check_index(files, index, rows, n_rows, st) : code;
}

/* ---- opening ---- */

static status_code load_single(struct safetensors *files, const char *path, struct status *st)
{
    files->shards = calloc(1, sizeof *files->shards);
    const char *copy = arena_strdup(&files->arena, path);
    if (!files->shards || !copy) return status_no_memory(st, path);
    status_code code = load_shard(files, copy, st);
    return code == STATUS_OK ? sort_entries(files, st) : code;
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static status_code missing(struct safetensors *files, const char *path, struct status *st)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof pickles / sizeof pickles[0]; i++) {
        const char *pickle = join(&files->arena, path, pickles[i]);
        if (pickle && exists(pickle))
            return status_set(st, STATUS_UNSUPPORTED,
                              "%s: pickles are programs and are not read here: save the model as "
                              "safetensors (save_pretrained)",
                              pickle);
    }
    return status_set(st, STATUS_NOT_FOUND,
                      "%s: holds neither model.safetensors nor model.safetensors.index.json", path);
}

static status_code load(struct safetensors *files, const char *path, struct status *st)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return status_set(st, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(errno));
    if (!S_ISDIR(info.st_mode)) return load_single(files, path, st);
    const char *index = join(&files->arena, path, "model.safetensors.index.json");
    const char *single = join(&files->arena, path, "model.safetensors");
    if (!index || !single) return status_no_memory(st, path);
    /* A folder that has both is read as transformers reads it. */
    if (exists(single)) return load_single(files, single, st);
    if (exists(index)) return load_sharded(files, path, index, st);
    return missing(files, path, st);
}

status_code safetensors_open(struct safetensors **out, const char *path, struct status *st)
{
    struct safetensors *files = calloc(1, sizeof *files);
    if (!files) return status_no_memory(st, path);
    arena_init(&files->arena, NAMES_ARENA_BYTES);
    status_code code = load(files, path, st);
    if (code != STATUS_OK) {
        safetensors_free(files);
        return code;
    }
    *out = files;
    return STATUS_OK;
}

void safetensors_free(struct safetensors *files)
{
    if (!files) return;
    for (size_t i = 0; i < files->n_shards; i++) mapped_file_release(&files->shards[i].map);
    arena_release(&files->arena);
    free(files->shards);
    free(files->entries);
    free(files->readable);
    free(files);
}

/* ---- reading ---- */

size_t safetensors_tensor_count(const struct safetensors *files)
{
    return files->n_readable;
}

const struct tensor_view *safetensors_tensor_at(const struct safetensors *files, size_t i)
{
    BUG_IF(i >= files->n_readable);
    return &files->readable[i]->view;
}

const struct tensor_view *safetensors_tensor(const struct safetensors *files, const char *name)
{
    const struct entry *entry = find_entry(files, name);
    return entry && !entry->unreadable ? &entry->view : NULL;
}

const char *safetensors_unreadable(const struct safetensors *files, const char *name)
{
    const struct entry *entry = find_entry(files, name);
    return entry ? entry->unreadable : NULL;
}

size_t safetensors_unreadable_count(const struct safetensors *files)
{
    return files->n_entries - files->n_readable;
}

const char *safetensors_unreadable_name(const struct safetensors *files, size_t i)
{
    for (size_t e = 0; e < files->n_entries; e++)
        if (files->entries[e].unreadable && i-- == 0) return files->entries[e].view.name;
    return NULL;
}

size_t safetensors_file_count(const struct safetensors *files)
{
    return files->n_shards;
}

status_code safetensors_check(const struct safetensors *files, struct status *st)
{
    for (size_t i = 0; i < files->n_shards; i++) {
        const struct shard *shard = &files->shards[i];
        status_code code = mapped_file_check(&shard->map, shard->path, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

const char *safetensors_file_path(const struct safetensors *files, size_t i)
{
    BUG_IF(i >= files->n_shards);
    return files->shards[i].path;
}
