#include "engine/model/packed_weights.h"

#include "engine/base/large_memory.h"
#include "engine/base/mapped_file.h"

#define LAYER_MATRICES 7

#define PACK_BYTES ((size_t)32 << 20)

static struct linear *layer_matrix(struct layer_weights *w, int i)
{
    struct linear *const matrices[LAYER_MATRICES] = {&w->q,    &w->k,  &w->v,   &w->o,
                                                     &w->gate, &w->up, &w->down};
    return matrices[i];
}

/* Matrix i of all that are multiplied, or NULL past the last. */
static struct linear *matrix_at(struct model *m, int i)
{
    struct linear *const heads[] = {&m->weights.output, &m->weights.pooler, &m->weights.classifier};
    int n_layer = m->config.n_layers * LAYER_MATRICES;
    if (i < n_layer) return layer_matrix(&m->weights.layer[i / LAYER_MATRICES], i % LAYER_MATRICES);
    i -= n_layer;
    return (size_t)i < sizeof heads / sizeof heads[0] ? heads[i] : NULL;
}

static enum packed_form form_of(const struct model *m, const struct linear *w)
{
    enum packed_form form = w->data ? packed_form_of(w->type->type) : PACKED_NONE;
    return form != PACKED_NONE && m->kernels->multiplies(form) ? form : PACKED_NONE;
}

/* 0 when the matrix is not packed. */
static size_t matrix_bytes(const struct model *m, const struct linear *w)
{
    enum packed_form form = form_of(m, w);
    return packed_panels((size_t)w->rows) * packed_panel_bytes(form, (size_t)w->cols);
}

/* Sizes cannot overflow: a packed matrix is at most 32 rows larger than the file's. */
static size_t all_bytes(struct model *m)
{
    size_t bytes = 0;
    const struct linear *w;
    for (int i = 0; (w = matrix_at(m, i)) != NULL; i++) bytes += matrix_bytes(m, w);
    return bytes;
}

size_t packed_weights_bytes(const struct model *m)
{
    struct model copy = *m;
    return all_bytes(&copy);
}

size_t packed_weights_growth(const struct model *m)
{
    struct model copy = *m;
    size_t growth = 0;
    const struct linear *w;
    for (int i = 0; (w = matrix_at(&copy, i)) != NULL; i++) {
        size_t bytes = matrix_bytes(&copy, w), before = (size_t)w->rows * w->row_bytes;
        if (bytes > before) growth += bytes - before;
    }
    return growth;
}

/* The copy is read from the file in the order of its rows, panel by panel, a few megabytes at a
 * time: the largest matrix is a fifth of some models, and what was read of it is resident until it
 * is given back. */
static void pack(unsigned char *memory, const struct packed_matrix *packed, const struct linear *w,
                 int n_threads)
{
    int n_panels = (int)packed_panels(packed->rows);
    int at_once = (int)(PACK_BYTES / packed->panel_bytes) + n_threads;
    for (int first = 0; first < n_panels; first += at_once) {
        int end = n_panels - first < at_once ? n_panels : first + at_once;
#pragma omp parallel for schedule(static) num_threads(n_threads)
        for (int panel = first; panel < end; panel++)
            packed_fill(packed, memory + (size_t)panel * packed->panel_bytes, (size_t)panel,
                        w->data, w->row_bytes);
        size_t from = (size_t)first * PACKED_ROWS, to = (size_t)end * PACKED_ROWS;
        if (to > packed->rows) to = packed->rows;
        mapped_bytes_forget(w->data + from * w->row_bytes, (to - from) * w->row_bytes);
    }
}

static status_code pack_all(struct packed_weights *out, struct model *m, struct arena *arena,
                            int n_threads, struct status *st)
{
    size_t at = 0;
    struct linear *w;
    for (int i = 0; (w = matrix_at(m, i)) != NULL; i++) {
        size_t bytes = matrix_bytes(m, w);
        if (bytes == 0) continue;
        struct packed_matrix *packed = arena_alloc(arena, sizeof *packed);
        if (!packed) return status_no_memory(st, "the packed weights");
        *packed = (struct packed_matrix){
            .form = form_of(m, w),
            .rows = (size_t)w->rows,
            .cols = (size_t)w->cols,
            .panel_bytes = packed_panel_bytes(form_of(m, w), (size_t)w->cols),
            .data = out->memory + at,
        };
        pack(out->memory + at, packed, w, n_threads);
        w->packed = packed;
        at += bytes;
    }
    return STATUS_OK;
}

status_code packed_weights_init(struct packed_weights *out, struct model *m, struct arena *arena,
                                int n_threads, struct status *st)
{
    struct packed_weights packed = {.bytes = all_bytes(m)};
    *out = packed;
    if (packed.bytes == 0) return STATUS_OK;
    packed.memory = large_alloc(packed.bytes);
    if (!packed.memory)
        return status_set(st, STATUS_NO_MEMORY,
                          "out of memory for %zu MB of packed weights; --type f32 needs none",
                          packed.bytes >> 20);
    status_code code = pack_all(&packed, m, arena, n_threads, st);
    if (code != STATUS_OK)
        packed_weights_release(&packed);
    else
        *out = packed;
    return code;
}

void packed_weights_release(struct packed_weights *packed)
{
    large_free(packed->memory, packed->bytes);
    *packed = (struct packed_weights){0};
}

const char *packed_weights_compute(const struct model *m)
{
    const struct packed_matrix *packed = m->weights.layer[0].up.packed;
    if (!packed) return "f32";
    return packed->form == PACKED_BF16 ? "bf16" : "int8";
}
