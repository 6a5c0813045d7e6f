#include "engine/convert/convert.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/limits.h"
#include "engine/base/mapped_file.h"
#include "engine/convert/convert_plan.h"
#include "engine/model/low_rank.h"
#include "engine/model/model_path.h"
#include "engine/model/model_weights.h"

/* Values that are converted together: enough for all threads, a few megabytes of memory. */
#define CHUNK_VALUES   ((size_t)1 << 20)
#define MAX_PATH_BYTES 4096

/* The file being written. */
struct output {
    const char *path;
    char temporary[MAX_PATH_BYTES];
    FILE *file;
    uint64_t bytes;
};

/* Room for one chunk of rows. */
struct chunk {
    float *values, *back;
    unsigned char *bytes;
    double *error, *power; /* [rows] squared error, squared value */
    size_t values_room, bytes_room, rows_room;
};

/* ---- writing ---- */

static status_code output_open(struct output *out, const char *path, struct status *st)
{
    struct stat info;
    *out = (struct output){.path = path};
    int n = snprintf(out->temporary, sizeof out->temporary, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof out->temporary)
        return status_set(st, STATUS_USAGE, "%s: the path is too long", path);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return status_set(st, STATUS_USAGE, "%s: is there and is not a regular file", path);
    out->file = fopen(out->temporary, "wb");
    if (out->file) return STATUS_OK;
    return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
}

static status_code output_write(struct output *out, const void *bytes, size_t n, struct status *st)
{
    out->bytes += n;
    if (fwrite(bytes, 1, n, out->file) == n) return STATUS_OK;
    return status_set(st, STATUS_IO, "%s: %s", out->path, strerror(errno));
}

static status_code output_pad(struct output *out, uint64_t tensor_bytes, struct status *st)
{
    static const unsigned char zeros[64];
    return output_write(out, zeros, gguf_writer_padding(tensor_bytes), st);
}

static status_code output_close(struct output *out, struct status *st)
{
    FILE *file = out->file;
    out->file = NULL;
    if (!file || fclose(file) == 0) return STATUS_OK;
    return status_set(st, STATUS_IO, "%s: %s", out->path, strerror(errno));
}

/* ---- one tensor ---- */

static bool grow(void *pointer, size_t *room, size_t count, size_t size)
{
    if (count <= *room) return true;
    void *bigger = count <= SIZE_MAX / size ? realloc(*(void **)pointer, count * size) : NULL;
    if (!bigger) return false;
    *(void **)pointer = bigger;
    *room = count;
    return true;
}

static bool chunk_reserve(struct chunk *c, size_t rows, size_t columns, size_t row_bytes)
{
    size_t values_room = c->values_room, rows_room = c->rows_room;
    return grow(&c->values, &values_room, rows * columns, sizeof *c->values) &&
           grow(&c->back, &c->values_room, rows * columns, sizeof *c->back) &&
           grow(&c->error, &rows_room, rows, sizeof *c->error) &&
           grow(&c->power, &c->rows_room, rows, sizeof *c->power) &&
           grow(&c->bytes, &c->bytes_room, rows * row_bytes, 1);
}

static void chunk_release(struct chunk *c)
{
    free(c->values);
    free(c->back);
    free(c->bytes);
    free(c->error);
    free(c->power);
}

/* A row of W + scale * B A. */
static void merge_row(const struct low_rank *pair, size_t row, float *values, size_t columns)
{
    size_t rank = (size_t)pair->rank;
    for (size_t k = 0; k < rank; k++) {
        float factor = pair->scale * pair->b[row * rank + k];
        for (size_t i = 0; i < columns; i++) values[i] += factor * pair->a[k * columns + i];
    }
}

/* One row to its new type, and how far that is from the old one; NaN when it cannot hold it. */
static void convert_row(const struct convert_item *item, size_t row, float *values, float *back,
                        unsigned char *to, size_t columns, double *error, double *power)
{
    const struct tensor_type_info *type = tensor_type_find(item->type);
    const unsigned char *data = item->from->data;
    const unsigned char *from = data + row * tensor_type_bytes(item->from->type, columns);
    tensor_type_find(item->from->type)->to_f32(values, from, columns);
    if (item->low_rank) merge_row(item->low_rank, row, values, columns);
    for (size_t i = 0; i < columns; i++) values[i] = (values[i] + item->add) * item->scale;
    type->from_f32(to, values, columns);
    type->to_f32(back, to, columns);
    *error = *power = 0;
    for (size_t i = 0; i < columns; i++) {
        double difference = (double)back[i] - (double)values[i];
        *error += difference * difference;
        *power += (double)values[i] * (double)values[i];
    }
}

/* The sums run over rows in order, whatever thread computed them. */
static status_code add_errors(const struct convert_item *item, const struct chunk *chunk,
                              size_t first, size_t rows, double totals[2], struct status *st)
{
    for (size_t r = 0; r < rows; r++) {
        if (!isfinite(chunk->error[r]))
            return status_set(st, STATUS_BAD_INPUT,
                              "tensor \"%s\" has a value in row %zu that %s cannot hold: it is not "
                              "finite or too large",
                              item->from->name, first + r, tensor_type_any_name(item->type));
        totals[0] += chunk->error[r];
        totals[1] += chunk->power[r];
    }
    return STATUS_OK;
}

static size_t tensor_columns(const struct tensor_view *view)
{
    return (size_t)view->shape[view->n_dims - 1];
}

static size_t tensor_rows(const struct tensor_view *view)
{
    size_t rows = 1;
    for (int d = 0; d + 1 < view->n_dims; d++) rows *= (size_t)view->shape[d];
    return rows;
}

/* Hugging Face pairs dimension i of a head with i + half; here pairs become neighbours. */
static size_t source_row(const struct convert_item *item, size_t n_rows, size_t row)
{
    if (!item->paired_heads) return row;
    return rope_row_in_halves(n_rows / (size_t)item->paired_heads, row);
}

static status_code write_rows(struct output *out, const struct convert_item *item,
                              struct chunk *chunk, int n_threads, double totals[2],
                              struct status *st)
{
    size_t columns = tensor_columns(item->from), n_rows = tensor_rows(item->from);
    size_t from_bytes = item->from->bytes / n_rows;
    size_t to_bytes = tensor_type_bytes(item->type, columns);
    size_t at_once = columns < CHUNK_VALUES ? CHUNK_VALUES / columns : 1;
    if (!chunk_reserve(chunk, at_once < n_rows ? at_once : n_rows, columns, to_bytes))
        return status_no_memory(st, item->from->name);
    const unsigned char *data = item->from->data;
    for (size_t first = 0; first < n_rows; first += at_once) {
        size_t rows = n_rows - first < at_once ? n_rows - first : at_once;
#pragma omp parallel for schedule(static) num_threads(n_threads)
        for (size_t r = 0; r < rows; r++)
            convert_row(item, source_row(item, n_rows, first + r), chunk->values + r * columns,
                        chunk->back + r * columns, chunk->bytes + r * to_bytes, columns,
                        &chunk->error[r], &chunk->power[r]);
        mapped_bytes_forget(data + first * from_bytes, rows * from_bytes);
        status_code code = add_errors(item, chunk, first, rows, totals, st);
        if (code == STATUS_OK) code = output_write(out, chunk->bytes, rows * to_bytes, st);
        if (code != STATUS_OK) return code;
    }
    return output_pad(out, (uint64_t)n_rows * to_bytes, st);
}

/* ---- the whole file ---- */

static status_code write_header(struct output *out, const struct convert_plan *plan,
                                struct status *st)
{
    struct strbuf header;
    strbuf_init(&header, (size_t)1 << 31);
    gguf_writer_header(&plan->writer, &header);
    status_code code = strbuf_check(&header, "the file's header", st);
    if (code == STATUS_OK) code = output_write(out, header.data, header.length, st);
    strbuf_release(&header);
    return code;
}

static status_code write_file(struct output *out, const struct convert_plan *plan, int n_threads,
                              double *nmse, struct status *st)
{
    double totals[2] = {0, 0};
    struct chunk chunk = {0};
    status_code code = write_header(out, plan, st);
    for (size_t i = 0; i < plan->n_items && code == STATUS_OK; i++)
        code = write_rows(out, &plan->items[i], &chunk, n_threads, totals, st);
    chunk_release(&chunk);
    if (code == STATUS_OK && plan->gguf) code = gguf_check(plan->gguf, st);
    if (code == STATUS_OK && plan->safetensors) code = safetensors_check(plan->safetensors, st);
    status_code closed = output_close(out, st);
    *nmse = totals[1] > 0 ? totals[0] / totals[1] : 0;
    return code == STATUS_OK ? closed : code;
}

/* What was written must load as the model that was read. */
static status_code check_file(const struct output *out, const struct convert_plan *plan,
                              struct status *st)
{
    struct gguf *file = NULL;
    struct model_config config;
    struct model_weights weights;
    struct arena arena;
    status_code code = gguf_open(&file, out->temporary, st);
    if (code != STATUS_OK || !plan->target) {
        gguf_free(file);
        return code;
    }
    struct tensor_source source = {.gguf = file};
    arena_init(&arena, SIZE_MAX);
    code = model_config_from_gguf(&config, file, st);
    if (code == STATUS_OK) code = model_weights_find(&weights, &config, &source, &arena, st);
    arena_release(&arena);
    gguf_free(file);
    return code == STATUS_OK && plan->safetensors ? plan_check_config(plan, &config, st) : code;
}

static status_code write_and_rename(const struct convert_options *options,
                                    const struct convert_plan *plan, struct convert_result *result,
                                    struct status *st)
{
    struct output out;
    status_code code = output_open(&out, options->to, st);
    if (code != STATUS_OK) return code;
    int n_threads = options->n_threads > 0 ? options->n_threads : omp_get_num_procs();
    code = write_file(&out, plan, n_threads, &result->nmse, st);
    if (code == STATUS_OK) code = check_file(&out, plan, st);
    if (code == STATUS_OK && rename(out.temporary, options->to) != 0)
        code = status_set(st, STATUS_IO, "%s: %s", options->to, strerror(errno));
    if (code != STATUS_OK) remove(out.temporary);
    result->bytes = out.bytes;
    return code;
}

static status_code plan_for(struct convert_plan *plan, const char *path,
                            const struct convert_options *options, struct status *st)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return status_set(st, STATUS_NOT_FOUND, "%s: %s", path, strerror(errno));
    return S_ISDIR(info.st_mode) ? plan_from_directory(plan, path, options, st)
                                 : plan_from_gguf(plan, path, options, st);
}

status_code model_convert(const struct convert_options *options, struct convert_result *out,
                          struct status *st)
{
    struct convert_plan plan = {0};
    struct convert_result result = {0};
    struct strbuf path;
    strbuf_init(&path, MAX_PATH_BYTES);
    status_code code = model_path_resolve(&path, options->from, st);
    if (code == STATUS_OK) code = plan_for(&plan, path.data, options, st);
    if (code == STATUS_OK) {
        code = write_and_rename(options, &plan, &result, st);
        result.architecture = plan.target ? plan.target->name : NULL;
        result.n_tensors = plan.n_items;
        for (size_t i = 0; i < plan.n_items; i++) {
            const struct tensor_view *view = plan.items[i].from;
            result.n_values += (uint64_t)tensor_rows(view) * tensor_columns(view);
        }
        plan_release(&plan);
    }
    strbuf_release(&path);
    if (code == STATUS_OK) *out = result;
    return code;
}
