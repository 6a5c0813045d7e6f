#include "engine/model/run_state.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* Collects allocations and remembers the first that failed. */
struct allocator {
    struct arena *arena;
    bool failed;
};

static float *floats(struct allocator *a, size_t rows, size_t cols)
{
    float *p =
        rows && cols > SIZE_MAX / rows ? NULL : arena_array(a->arena, rows * cols, sizeof *p);
    if (!p) a->failed = true;
    return p;
}

static float **per_thread(struct allocator *a, int n_threads, size_t rows, size_t cols)
{
    float **p = arena_array(a->arena, (size_t)n_threads, sizeof *p);
    if (!p) a->failed = true;
    for (int i = 0; p && i < n_threads; i++) p[i] = floats(a, rows, cols);
    return p;
}

/* The cache is the largest part and is rarely filled: calloc's untouched pages cost nothing. */
static float *cache(struct allocator *a, size_t rows, size_t cols)
{
    float *p = cols > SIZE_MAX / sizeof *p ? NULL : calloc(rows, cols * sizeof *p);
    if (!p) a->failed = true;
    return p;
}

/* Angles in double, so that late positions lose nothing (Su et al., RoFormer, 2021). */
static void fill_rope(struct run_state *s, const struct model_config *c)
{
    int pairs = c->head_dim / 2;
    for (int i = 0; i < pairs; i++) {
        double frequency = pow(c->rope_theta, -2.0 * i / c->head_dim);
        for (int position = 0; position < s->n_context; position++) {
            size_t at = (size_t)position * (size_t)pairs + (size_t)i;
            s->rope_cos[at] = (float)cos(position * frequency);
            s->rope_sin[at] = (float)sin(position * frequency);
        }
    }
}

status_code run_state_init(struct run_state *state, const struct model_config *c, int n_context,
                           int n_threads, struct status *st)
{
    struct run_state s = {.n_context = n_context, .n_threads = n_threads};
    arena_init(&s.arena, SIZE_MAX);
    struct allocator a = {&s.arena, false};
    size_t T = RUN_MAX_TOKENS, C = (size_t)n_context, d_model = (size_t)c->d_model;
    size_t q_dim = (size_t)c->n_heads * (size_t)c->head_dim;
    size_t kv_dim = (size_t)c->n_kv_heads * (size_t)c->head_dim;
    size_t d_ff = (size_t)c->d_ff, pairs = (size_t)c->head_dim / 2;
    size_t widest = d_model > d_ff ? d_model : d_ff;
    if (q_dim > widest) widest = q_dim;
    s.x = floats(&a, T, d_model);
    s.normed = floats(&a, T, d_model);
    s.q = floats(&a, T, q_dim);
    s.heads = floats(&a, T, q_dim);
    s.block = floats(&a, T, d_model);
    s.gate = floats(&a, T, d_ff);
    s.up = floats(&a, T, d_ff);
    s.logits = floats(&a, RUN_LOGIT_ROWS, (size_t)c->n_vocab);
    s.keys = cache(&a, (size_t)c->n_layers * C, kv_dim);
    s.values = cache(&a, (size_t)c->n_layers * C, kv_dim);
    s.rope_cos = floats(&a, C, pairs);
    s.rope_sin = floats(&a, C, pairs);
    s.tile = per_thread(&a, n_threads, RUN_TILE_ROWS, widest);
    s.scores = per_thread(&a, n_threads, 1, C);
    if (a.failed) {
        run_state_release(&s);
        return status_set(st, STATUS_NO_MEMORY,
                          "out of memory for a context of %d positions; ask for a shorter one",
                          n_context);
    }
    fill_rope(&s, c);
    *state = s;
    return STATUS_OK;
}

void run_state_release(struct run_state *state)
{
    free(state->keys);
    free(state->values);
    arena_release(&state->arena);
    *state = (struct run_state){0};
}
