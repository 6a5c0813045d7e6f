#include "engine/gguf/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/mapped_file.h"
#include "engine/base/utf8.h"

/* Memory for names, string arrays and indices: a vocabulary of a million pieces takes 16 MiB. */
#define GGUF_ARENA_BYTES   ((size_t)1 << 30)
#define GGUF_MAX_ALIGNMENT 65536
#define GGUF_MIN_PAIR      13 /* bytes: an empty key, a type and a u8 */
#define GGUF_MIN_TENSOR    32 /* bytes: an empty name, one dimension, a type and an offset */

/* A scalar is kept as an array of one, so that one set of functions reads both. */
struct pair {
    struct text key;
    bool is_array;
    struct text scalar_text;
    struct gguf_array values;
};

struct entry {
    struct tensor_view view;
    uint64_t offset; /* from the start of the data */
};

struct gguf {
    struct mapped_file map;
    struct arena arena;
    char *path;
    struct pair *pairs;
    const struct pair **pairs_by_key;
    size_t n_pairs;
    struct entry *tensors;
    const struct entry **tensors_by_name;
    size_t n_tensors;
};

/* A walk through the header.  `where` names the item being read, for messages. */
struct reader {
    struct gguf *file;
    size_t at;
    bool to_describe; /* tensors of unknown types are kept, without data */
    char where[128];
    struct status *st;
};

/* For "%.*s": as much of an outside name as a message can hold. */
#define SHOWN(text) (int)((text).length < 80 ? (text).length : 80), (text).data

PRINTF_LIKE(3, 4)
static status_code fail(const struct reader *r, status_code code, const char *format, ...)
{
    char reason[sizeof r->st->message];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return status_set(r->st, code, "%s: %s", r->file->path, reason);
}

/* ---- elements ---- */

static const struct {
    const char *name;
    size_t bytes; /* 0 where elements differ in size */
} value_types[] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

static const char *kind_name(const struct pair *pair)
{
    return value_types[pair->is_array ? GGUF_ARRAY : pair->values.type].name;
}

/* The first element as an integer, wherever its type is one. */
static bool first_integer(const struct gguf_array *values, bool *is_negative, uint64_t *out)
{
    uint64_t raw = 0;
    memcpy(&raw, values->data, value_types[values->type].bytes);
    int64_t value;
    switch (values->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        *is_negative = false;
        *out = raw;
        return true;
    case GGUF_I8:
        value = (int8_t)raw;
        break;
    case GGUF_I16:
        value = (int16_t)raw;
        break;
    case GGUF_I32:
        value = (int32_t)raw;
        break;
    case GGUF_I64:
        value = (int64_t)raw;
        break;
    default:
        return false;
    }
    *is_negative = value < 0;
    *out = (uint64_t)value;
    return true;
}

float gguf_array_f32(const struct gguf_array *array, size_t i)
{
    float value;
    BUG_IF(array->type != GGUF_F32 || i >= array->count);
    memcpy(&value, array->data + i * sizeof value, sizeof value);
    return value;
}

int32_t gguf_array_i32(const struct gguf_array *array, size_t i)
{
    int32_t value;
    BUG_IF(array->type != GGUF_I32 || i >= array->count);
    memcpy(&value, array->data + i * sizeof value, sizeof value);
    return value;
}

/* ---- pieces of the header ---- */

static size_t bytes_left(const struct reader *r)
{
    return r->file->map.size - r->at;
}

static status_code read_bytes(struct reader *r, void *dst, size_t n)
{
    if (bytes_left(r) < n)
        return fail(r, STATUS_BAD_INPUT,
                    "ends inside %s: the file is incomplete, fetch or convert it again", r->where);
    memcpy(dst, r->file->map.data + r->at, n);
    r->at += n;
    return STATUS_OK;
}

/* A view into the mapping; `part` says which string of the item it is. */
static status_code read_string(struct reader *r, const char *part, size_t max_bytes,
                               struct text *out)
{
    uint64_t length = 0;
    status_code code = read_bytes(r, &length, sizeof length);
    if (code != STATUS_OK) return code;
    if (length > bytes_left(r))
        return fail(r, STATUS_BAD_INPUT,
                    "%s: the %s claims %" PRIu64 " bytes and the file has %zu left: it is damaged "
                    "or incomplete, fetch or convert it again",
                    r->where, part, length, bytes_left(r));
    if (length > max_bytes)
        return fail(r, STATUS_LIMIT, "%s: the %s has %" PRIu64 " bytes, more than %zu", r->where,
                    part, length, max_bytes);
    *out = (struct text){(const char *)r->file->map.data + r->at, (size_t)length};
    r->at += (size_t)length;
    return STATUS_OK;
}

/* A key or a tensor's name: these are shown and looked up as C strings. */
static status_code read_name(struct reader *r, const char *part, size_t max_bytes, struct text *out)
{
    status_code code = read_string(r, part, max_bytes, out);
    if (code != STATUS_OK) return code;
    if (!out->length) return fail(r, STATUS_BAD_INPUT, "%s: the %s is empty", r->where, part);
    if (memchr(out->data, '\0', out->length) || !utf8_valid(*out))
        return fail(r, STATUS_BAD_INPUT, "%s: the %s is not text", r->where, part);
    return STATUS_OK;
}

/* ---- metadata ---- */

static status_code read_type(struct reader *r, enum gguf_type *out)
{
    uint32_t type = 0;
    status_code code = read_bytes(r, &type, sizeof type);
    if (code != STATUS_OK) return code;
    if (type >= sizeof value_types / sizeof value_types[0])
        return fail(r, STATUS_BAD_INPUT,
                    "%s has value type %" PRIu32 ", which GGUF does not define", r->where, type);
    *out = (enum gguf_type)type;
    return STATUS_OK;
}

static status_code read_texts(struct reader *r, size_t count, struct text *texts)
{
    for (size_t i = 0; i < count; i++) {
        status_code code = read_string(r, "string", LIMIT_METADATA_STRING, &texts[i]);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

static status_code read_elements(struct reader *r, struct gguf_array *values)
{
    size_t bytes = value_types[values->type].bytes;
    if (bytes_left(r) / bytes < values->count)
        return fail(r, STATUS_BAD_INPUT,
                    "ends inside %s: the file is incomplete, fetch or convert it again", r->where);
    values->data = r->file->map.data + r->at;
    r->at += values->count * bytes;
    for (size_t i = 0; values->type == GGUF_BOOL && i < values->count; i++)
        if (values->data[i] > 1)
            return fail(r, STATUS_BAD_INPUT, "%s: a bool is %d, expected 0 or 1", r->where,
                        values->data[i]);
    return STATUS_OK;
}

static status_code read_array(struct reader *r, struct gguf_array *values)
{
    uint64_t count = 0;
    status_code code = read_type(r, &values->type);
    if (code == STATUS_OK) code = read_bytes(r, &count, sizeof count);
    if (code != STATUS_OK) return code;
    if (values->type == GGUF_ARRAY)
        return fail(r, STATUS_UNSUPPORTED, "%s is an array of arrays, which this build cannot read",
                    r->where);
    if (count > LIMIT_METADATA_ARRAY)
        return fail(r, STATUS_LIMIT, "%s has %" PRIu64 " elements, more than %u", r->where, count,
                    LIMIT_METADATA_ARRAY);
    values->count = (size_t)count;
    if (values->type != GGUF_STRING) return read_elements(r, values);
    if (values->count > bytes_left(r) / sizeof(uint64_t))
        return fail(r, STATUS_BAD_INPUT, "%s claims %zu strings and the file has %zu bytes left",
                    r->where, values->count, bytes_left(r));
    struct text *texts = arena_array(&r->file->arena, values->count, sizeof *texts);
    if (!texts) return status_no_memory(r->st, r->where);
    values->texts = texts;
    return read_texts(r, values->count, texts);
}

static status_code read_pair(struct reader *r, size_t i, struct pair *pair)
{
    enum gguf_type type = GGUF_U8;
    snprintf(r->where, sizeof r->where, "metadata pair %zu", i);
    status_code code = read_name(r, "key", LIMIT_METADATA_KEY, &pair->key);
    if (code != STATUS_OK) return code;
    snprintf(r->where, sizeof r->where, "key \"%.*s\"", SHOWN(pair->key));
    code = read_type(r, &type);
    if (code != STATUS_OK) return code;
    pair->is_array = type == GGUF_ARRAY;
    if (pair->is_array) return read_array(r, &pair->values);
    pair->values = (struct gguf_array){.type = type, .count = 1};
    if (type != GGUF_STRING) return read_elements(r, &pair->values);
    pair->values.texts = &pair->scalar_text;
    return read_texts(r, 1, &pair->scalar_text);
}

static int compare_texts(struct text a, struct text b)
{
    size_t n = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, n);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_keys(const void *a, const void *b)
{
    const struct pair *const *left = a, *const *right = b;
    return compare_texts((*left)->key, (*right)->key);
}

static status_code read_metadata(struct reader *r)
{
    struct gguf *file = r->file;
    file->pairs = arena_array(&file->arena, file->n_pairs, sizeof *file->pairs);
    file->pairs_by_key = arena_array(&file->arena, file->n_pairs, sizeof *file->pairs_by_key);
    if (!file->pairs || !file->pairs_by_key) return status_no_memory(r->st, file->path);
    for (size_t i = 0; i < file->n_pairs; i++) {
        status_code code = read_pair(r, i, &file->pairs[i]);
        if (code != STATUS_OK) return code;
        file->pairs_by_key[i] = &file->pairs[i];
    }
    qsort(file->pairs_by_key, file->n_pairs, sizeof *file->pairs_by_key, compare_keys);
    for (size_t i = 1; i < file->n_pairs; i++) {
        struct text key = file->pairs_by_key[i]->key;
        if (text_equal(key, file->pairs_by_key[i - 1]->key))
            return fail(r, STATUS_BAD_INPUT, "key \"%.*s\" is given twice", SHOWN(key));
    }
    return STATUS_OK;
}

static const struct pair *find_pair(const struct gguf *file, const char *key)
{
    const struct pair wanted = {.key = text_of(key)};
    const struct pair *pointer = &wanted;
    const struct pair **found = bsearch(&pointer, file->pairs_by_key, file->n_pairs,
                                        sizeof *file->pairs_by_key, compare_keys);
    return found ? *found : NULL;
}

/* ---- tensors ---- */

/* Shape, size and type of one tensor; `sizes` are as the file has them, innermost first. */
static status_code set_view(struct reader *r, struct tensor_view *view, const uint64_t *sizes,
                            uint32_t type)
{
    const struct tensor_type_info *info = tensor_type_find(type);
    if (!info && !r->to_describe)
        return fail(r, STATUS_UNSUPPORTED,
                    "%s has type %s (%" PRIu32 "), which this build cannot read: get the model in "
                    "another type, such as Q8_0 or Q4_K",
                    r->where, tensor_type_any_name(type), type);
    uint64_t n = 1;
    for (int d = 0; d < view->n_dims; d++) {
        if (sizes[d] == 0) return fail(r, STATUS_BAD_INPUT, "%s has a dimension of 0", r->where);
        if (n > UINT64_MAX / sizes[d])
            return fail(r, STATUS_BAD_INPUT, "%s has more elements than 64 bits can count",
                        r->where);
        n *= sizes[d];
        view->shape[view->n_dims - 1 - d] = sizes[d];
    }
    view->type = (enum tensor_type)type;
    if (!info) return STATUS_OK;
    if (sizes[0] % info->block_values != 0)
        return fail(r, STATUS_BAD_INPUT,
                    "%s has rows of %" PRIu64
                    " values, which are no whole number of %s blocks of %zu",
                    r->where, sizes[0], info->name, info->block_values);
    if (n / info->block_values > SIZE_MAX / info->block_bytes)
        return fail(r, STATUS_BAD_INPUT, "%s has more bytes than 64 bits can count", r->where);
    view->type = info->type;
    view->bytes = tensor_type_bytes(info->type, (size_t)n);
    return STATUS_OK;
}

static status_code read_tensor(struct reader *r, size_t i, struct entry *entry)
{
    struct text name;
    snprintf(r->where, sizeof r->where, "tensor %zu", i);
    status_code code = read_name(r, "name", LIMIT_TENSOR_NAME, &name);
    if (code != STATUS_OK) return code;
    entry->view.name = arena_strndup(&r->file->arena, name.data, name.length);
    if (!entry->view.name) return status_no_memory(r->st, r->where);
    snprintf(r->where, sizeof r->where, "tensor \"%.*s\"", SHOWN(name));
    uint32_t n_dims = 0, type = 0;
    code = read_bytes(r, &n_dims, sizeof n_dims);
    if (code != STATUS_OK) return code;
    if (n_dims < 1 || n_dims > LIMIT_TENSOR_DIMS)
        return fail(r, STATUS_BAD_INPUT, "%s has %" PRIu32 " dimensions, expected 1 to %d",
                    r->where, n_dims, LIMIT_TENSOR_DIMS);
    entry->view.n_dims = (int)n_dims;
    uint64_t sizes[LIMIT_TENSOR_DIMS];
    code = read_bytes(r, sizes, n_dims * sizeof sizes[0]);
    if (code == STATUS_OK) code = read_bytes(r, &type, sizeof type);
    if (code == STATUS_OK) code = read_bytes(r, &entry->offset, sizeof entry->offset);
    return code == STATUS_OK ? set_view(r, &entry->view, sizes, type) : code;
}

static status_code read_alignment(struct reader *r, size_t *out)
{
    int64_t alignment;
    *out = 32;
    if (!gguf_has(r->file, "general.alignment")) return STATUS_OK;
    status_code code =
        gguf_get_int(r->file, "general.alignment", 1, GGUF_MAX_ALIGNMENT, &alignment, r->st);
    if (code != STATUS_OK) return code;
    if (alignment & (alignment - 1))
        return fail(r, STATUS_BAD_INPUT,
                    "key \"general.alignment\" is %" PRId64 ", expected a power of two", alignment);
    *out = (size_t)alignment;
    return STATUS_OK;
}

/* Points the views at their data, which starts at the first aligned byte behind the header. */
static status_code place_tensors(struct reader *r)
{
    struct gguf *file = r->file;
    size_t alignment;
    status_code code = read_alignment(r, &alignment);
    if (code != STATUS_OK) return code;
    size_t start = (r->at + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < file->n_tensors; i++) {
        struct entry *t = &file->tensors[i];
        if (t->offset % alignment != 0)
            return fail(r, STATUS_BAD_INPUT,
                        "tensor \"%.80s\" is at offset %" PRIu64 ", expected a multiple of %zu",
                        t->view.name, t->offset, alignment);
        size_t room = start < file->map.size ? file->map.size - start : 0;
        if (t->offset > room || t->view.bytes > room - t->offset)
            return fail(r, STATUS_BAD_INPUT,
                        "tensor \"%.80s\" (offset %" PRIu64 ", %zu bytes) does not end inside the "
                        "file, which has %zu bytes of data: it is incomplete, fetch or convert it "
                        "again",
                        t->view.name, t->offset, t->view.bytes, room);
        if (tensor_type_find(t->view.type)) t->view.data = file->map.data + start + t->offset;
    }
    return STATUS_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct entry *const *left = a, *const *right = b;
    return ((*left)->offset > (*right)->offset) - ((*left)->offset < (*right)->offset);
}

static int compare_names(const void *a, const void *b)
{
    const struct entry *const *left = a, *const *right = b;
    return strcmp((*left)->view.name, (*right)->view.name);
}

static status_code check_overlaps(const struct reader *r)
{
    const struct gguf *file = r->file;
    const struct entry **sorted = file->tensors_by_name;
    qsort(sorted, file->n_tensors, sizeof *sorted, compare_offsets);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (sorted[i]->offset < sorted[i - 1]->offset + sorted[i - 1]->view.bytes)
            return fail(r, STATUS_BAD_INPUT, "tensors \"%.80s\" and \"%.80s\" overlap",
                        sorted[i - 1]->view.name, sorted[i]->view.name);
    return STATUS_OK;
}

static status_code read_tensors(struct reader *r)
{
    struct gguf *file = r->file;
    file->tensors = arena_array(&file->arena, file->n_tensors, sizeof *file->tensors);
    file->tensors_by_name =
        arena_array(&file->arena, file->n_tensors, sizeof *file->tensors_by_name);
    if (!file->tensors || !file->tensors_by_name) return status_no_memory(r->st, file->path);
    for (size_t i = 0; i < file->n_tensors; i++) {
        status_code code = read_tensor(r, i, &file->tensors[i]);
        if (code != STATUS_OK) return code;
        file->tensors_by_name[i] = &file->tensors[i];
    }
    status_code code = place_tensors(r);
    if (code == STATUS_OK) code = check_overlaps(r);
    if (code != STATUS_OK) return code;
    const struct entry **sorted = file->tensors_by_name;
    qsort(sorted, file->n_tensors, sizeof *sorted, compare_names);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (strcmp(sorted[i]->view.name, sorted[i - 1]->view.name) == 0)
            return fail(r, STATUS_BAD_INPUT, "tensor \"%.80s\" is given twice",
                        sorted[i]->view.name);
    return STATUS_OK;
}

/* ---- opening ---- */

static status_code read_version(struct reader *r)
{
    uint32_t version = 0;
    status_code code = read_bytes(r, &version, sizeof version);
    if (code != STATUS_OK) return code;
    if (version == 2 || version == 3) return STATUS_OK;
    if (version && (version & 0xffff) == 0)
        return fail(r, STATUS_UNSUPPORTED,
                    "is a big-endian GGUF file: convert the model to little-endian");
    return fail(r, STATUS_UNSUPPORTED,
                "is GGUF version %" PRIu32 ", this build reads versions 2 and 3: convert the model "
                "again",
                version);
}

static status_code read_count(struct reader *r, const char *what, uint64_t limit, size_t min_bytes,
                              size_t *out)
{
    uint64_t count = 0;
    status_code code = read_bytes(r, &count, sizeof count);
    if (code != STATUS_OK) return code;
    if (count > limit)
        return fail(r, STATUS_LIMIT, "claims %" PRIu64 " %s, more than %" PRIu64, count, what,
                    limit);
    if (count > bytes_left(r) / min_bytes)
        return fail(r, STATUS_BAD_INPUT,
                    "claims %" PRIu64 " %s and has %zu bytes left: it is damaged or incomplete, "
                    "fetch or convert it again",
                    count, what, bytes_left(r));
    *out = (size_t)count;
    return STATUS_OK;
}

static status_code read_header(struct gguf *file, bool to_describe, struct status *st)
{
    struct reader r = {.file = file, .to_describe = to_describe, .where = "the header", .st = st};
    if (file->map.size < 4 || memcmp(file->map.data, "GGUF", 4) != 0)
        return fail(&r, STATUS_BAD_INPUT, "is not a GGUF file: it does not start with \"GGUF\"");
    r.at = 4;
    status_code code = read_version(&r);
    if (code == STATUS_OK)
        code = read_count(&r, "tensors", LIMIT_TENSOR_COUNT, GGUF_MIN_TENSOR, &file->n_tensors);
    if (code == STATUS_OK)
        code =
            read_count(&r, "metadata pairs", LIMIT_METADATA_COUNT, GGUF_MIN_PAIR, &file->n_pairs);
    if (code == STATUS_OK) code = read_metadata(&r);
    return code == STATUS_OK ? read_tensors(&r) : code;
}

static status_code open_file(struct gguf **out, const char *path, bool to_describe,
                             struct status *st)
{
    struct gguf *file = calloc(1, sizeof *file);
    if (!file) return status_no_memory(st, path);
    arena_init(&file->arena, GGUF_ARENA_BYTES);
    file->path = arena_strdup(&file->arena, path);
    status_code code =
        file->path ? mapped_file_init(&file->map, path, st) : status_no_memory(st, path);
    if (code == STATUS_OK) code = read_header(file, to_describe, st);
    if (code != STATUS_OK) {
        gguf_free(file);
        return code;
    }
    *out = file;
    return STATUS_OK;
}

status_code gguf_open(struct gguf **out, const char *path, struct status *st)
{
    return open_file(out, path, false, st);
}

status_code gguf_open_to_describe(struct gguf **out, const char *path, struct status *st)
{
    return open_file(out, path, true, st);
}

status_code gguf_check(const struct gguf *file, struct status *st)
{
    return mapped_file_check(&file->map, file->path, st);
}

void gguf_free(struct gguf *file)
{
    if (!file) return;
    mapped_file_release(&file->map);
    arena_release(&file->arena);
    free(file);
}

/* ---- reading ---- */

const char *gguf_path(const struct gguf *file)
{
    return file->path;
}

bool gguf_has(const struct gguf *file, const char *key)
{
    return find_pair(file, key) != NULL;
}

static status_code wrong_kind(const struct gguf *file, const char *key, const struct pair *pair,
                              const char *expected, struct status *st)
{
    return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" is of type %s, expected %s", file->path,
                      key, kind_name(pair), expected);
}

static status_code find_required(const struct gguf *file, const char *key, const struct pair **out,
                                 struct status *st)
{
    *out = find_pair(file, key);
    if (*out) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" is missing", file->path, key);
}

status_code gguf_get_int(const struct gguf *file, const char *key, int64_t min, int64_t max,
                         int64_t *out, struct status *st)
{
    const struct pair *pair;
    status_code code = find_required(file, key, &pair, st);
    if (code != STATUS_OK) return code;
    bool is_negative;
    uint64_t raw;
    if (pair->is_array || pair->values.type == GGUF_STRING ||
        !first_integer(&pair->values, &is_negative, &raw))
        return wrong_kind(file, key, pair, "an integer", st);
    if (!is_negative && raw > INT64_MAX)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: key \"%s\" is %" PRIu64 ", expected a number from %" PRId64
                          " to %" PRId64,
                          file->path, key, raw, min, max);
    int64_t value = (int64_t)raw;
    if (value < min || value > max)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: key \"%s\" is %" PRId64 ", expected a number from %" PRId64
                          " to %" PRId64,
                          file->path, key, value, min, max);
    *out = value;
    return STATUS_OK;
}

status_code gguf_get_double(const struct gguf *file, const char *key, double *out,
                            struct status *st)
{
    const struct pair *pair;
    status_code code = find_required(file, key, &pair, st);
    if (code != STATUS_OK) return code;
    double value;
    if (!pair->is_array && pair->values.type == GGUF_F32)
        value = (double)gguf_array_f32(&pair->values, 0);
    else if (!pair->is_array && pair->values.type == GGUF_F64)
        memcpy(&value, pair->values.data, sizeof value);
    else
        return wrong_kind(file, key, pair, "f32 or f64", st);
    if (!isfinite(value))
        return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" is not a finite number", file->path,
                          key);
    *out = value;
    return STATUS_OK;
}

status_code gguf_get_bool(const struct gguf *file, const char *key, bool *out, struct status *st)
{
    const struct pair *pair;
    status_code code = find_required(file, key, &pair, st);
    if (code != STATUS_OK) return code;
    if (pair->is_array || pair->values.type != GGUF_BOOL)
        return wrong_kind(file, key, pair, "bool", st);
    *out = pair->values.data[0] == 1;
    return STATUS_OK;
}

status_code gguf_get_text(const struct gguf *file, const char *key, struct text *out,
                          struct status *st)
{
    const struct pair *pair;
    status_code code = find_required(file, key, &pair, st);
    if (code != STATUS_OK) return code;
    if (pair->is_array || pair->values.type != GGUF_STRING)
        return wrong_kind(file, key, pair, "string", st);
    *out = pair->scalar_text;
    return STATUS_OK;
}

status_code gguf_get_array(const struct gguf *file, const char *key, enum gguf_type element,
                           struct gguf_array *out, struct status *st)
{
    const struct pair *pair;
    status_code code = find_required(file, key, &pair, st);
    if (code != STATUS_OK) return code;
    if (!pair->is_array) return wrong_kind(file, key, pair, "array", st);
    if (pair->values.type != element)
        return status_set(st, STATUS_BAD_INPUT, "%s: key \"%s\" is an array of %s, expected %s",
                          file->path, key, value_types[pair->values.type].name,
                          value_types[element].name);
    *out = pair->values;
    return STATUS_OK;
}

size_t gguf_type_bytes(enum gguf_type type)
{
    return value_types[type].bytes;
}

size_t gguf_pair_count(const struct gguf *file)
{
    return file->n_pairs;
}

struct gguf_pair gguf_pair_at(const struct gguf *file, size_t i)
{
    BUG_IF(i >= file->n_pairs);
    const struct pair *pair = &file->pairs[i];
    return (struct gguf_pair){pair->key, pair->is_array, pair->values};
}

size_t gguf_tensor_count(const struct gguf *file)
{
    return file->n_tensors;
}

const struct tensor_view *gguf_tensor_at(const struct gguf *file, size_t i)
{
    BUG_IF(i >= file->n_tensors);
    return &file->tensors[i].view;
}

const struct tensor_view *gguf_tensor(const struct gguf *file, const char *name)
{
    const struct entry wanted = {.view.name = name};
    const struct entry *pointer = &wanted;
    const struct entry **found = bsearch(&pointer, file->tensors_by_name, file->n_tensors,
                                         sizeof *file->tensors_by_name, compare_names);
    return found ? &(*found)->view : NULL;
}

/* ---- parts ---- */

/* Written by llama-gguf-split; parts are counted from 0. */
status_code gguf_check_whole(const struct gguf *file, struct status *st)
{
    int64_t count = 1, part = 0;
    status_code code = STATUS_OK;
    if (gguf_has(file, "split.count"))
        code = gguf_get_int(file, "split.count", 0, UINT16_MAX, &count, st);
    if (code == STATUS_OK && gguf_has(file, "split.no"))
        code = gguf_get_int(file, "split.no", 0, UINT16_MAX, &part, st);
    if (code != STATUS_OK || count <= 1) return code;
    return status_set(st, STATUS_UNSUPPORTED,
                      "%s: is part %lld of %lld of a model: join them first, with "
                      "llama-gguf-split --merge",
                      file->path, (long long)part + 1, (long long)count);
}
