#include "engine/model/run_state.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/model/attention.h"
#include "engine/model/linear.h"
#include "engine/model/low_rank.h"

/* Collects allocations and remembers the first that failed.  Without an arena it only counts: what
 * run_state_bytes() predicts and what run_state_init() allocates is one list. */
struct allocator {
    struct arena *arena;
    size_t bytes; /* asked for so far; SIZE_MAX when that is more than can be counted */
    bool failed;
};

/* As an arena counts: multiples of ARENA_ALIGN, and nothing takes one too. */
static void count(struct allocator *a, size_t rows, size_t bytes)
{
    bool full = a->bytes > SIZE_MAX - 2 * ARENA_ALIGN;
    if (full || (rows && bytes > (SIZE_MAX - 2 * ARENA_ALIGN - a->bytes) / rows)) {
        a->bytes = SIZE_MAX;
        return;
    }
    size_t padded = (rows * bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    a->bytes += padded ? padded : ARENA_ALIGN;
}

static float *floats(struct allocator *a, size_t rows, size_t cols)
{
    float *p = NULL;
    count(a, rows, cols * sizeof *p);
    if (!a->arena) return NULL;
    if (!rows || cols <= SIZE_MAX / rows) p = arena_array(a->arena, rows * cols, sizeof *p);
    if (!p) a->failed = true;
    return p;
}

static float **per_thread(struct allocator *a, int n_threads, size_t rows, size_t cols)
{
    float **p = NULL;
    count(a, (size_t)n_threads, sizeof *p);
    if (a->arena) p = arena_array(a->arena, (size_t)n_threads, sizeof *p);
    if (a->arena && !p) a->failed = true;
    for (int i = 0; i < n_threads; i++) {
        float *own = floats(a, rows, cols);
        if (p) p[i] = own;
    }
    return p;
}

/* ---- rotary positions ---- */

/* As in transformers' _compute_llama3_parameters (modeling_rope_utils.py) and Meta's
 * apply_scaling. */
static double scale_llama3(const struct rope_settings *rope, double frequency)
{
    double turns = rope->original_context * frequency / (2 * 3.14159265358979323846);
    if (turns < rope->low_freq_factor) return frequency / rope->factor;
    if (turns > rope->high_freq_factor) return frequency;
    double kept =
        (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1 - kept) * frequency / rope->factor + kept * frequency;
}

double rope_scaled_frequency(const struct rope_settings *rope, double frequency)
{
    switch (rope->scaling) {
    case ROPE_LINEAR:
        return frequency / rope->factor;
    case ROPE_LLAMA3:
        return scale_llama3(rope, frequency);
    case ROPE_UNSCALED:
        break;
    }
    return frequency;
}

/* The angle per position of pair i. */
static double frequency_of(const struct model *m, const struct rope_settings *rope, int i)
{
    double frequency = pow(rope->theta, -2.0 * i / m->config.rope_dim);
    if (m->weights.rope_factors) frequency /= (double)m->weights.rope_factors[i];
    return rope_scaled_frequency(rope, frequency);
}

static double *doubles(struct allocator *a, size_t n)
{
    double *p = NULL;
    count(a, n, sizeof *p);
    if (!a->arena) return NULL;
    p = arena_array(a->arena, n, sizeof *p);
    if (!p) a->failed = true;
    return p;
}

static void make_table(struct rope_table *table, const struct run_state *s, struct allocator *a)
{
    size_t T = (size_t)s->max_tokens, pairs = (size_t)s->rope_pairs;
    table->cos = floats(a, T, pairs);
    table->sin = floats(a, T, pairs);
    table->frequencies = doubles(a, pairs);
}

static bool has_local_rope(const struct model_config *c)
{
    return c->local_rope.theta != 0;
}

static void make_rope(struct run_state *s, const struct model_config *c, struct allocator *a)
{
    s->rope_pairs = c->rope_dim / 2;
    make_table(&s->rope, s, a);
    s->local_rope = s->rope;
    if (has_local_rope(c)) make_table(&s->local_rope, s, a);
}

static void set_frequencies(struct run_state *s, const struct model *m)
{
    for (int i = 0; i < s->rope_pairs; i++)
        s->rope.frequencies[i] = frequency_of(m, &m->config.rope, i);
    for (int i = 0; has_local_rope(&m->config) && i < s->rope_pairs; i++)
        s->local_rope.frequencies[i] = frequency_of(m, &m->config.local_rope, i);
}

/* Angles in double, so that late positions lose nothing (Su et al., RoFormer, 2021). */
static void fill_table(struct rope_table *table, int pairs, const int *positions, int T)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < pairs; i++) {
            double angle = positions[t] * table->frequencies[i];
            table->cos[t * pairs + i] = (float)cos(angle);
            table->sin[t * pairs + i] = (float)sin(angle);
        }
}

void run_state_set_positions(struct run_state *s, const int *positions, int T)
{
    fill_table(&s->rope, s->rope_pairs, positions, T);
    if (s->local_rope.cos != s->rope.cos) fill_table(&s->local_rope, s->rope_pairs, positions, T);
}

/* ---- everything ---- */

static void make_activations(struct run_state *s, const struct model_config *c, struct allocator *a)
{
    size_t T = (size_t)s->max_tokens, d_model = (size_t)c->d_model, d_ff = (size_t)c->d_ff;
    size_t q_dim = (size_t)c->n_heads * (size_t)c->head_dim;
    size_t kv_dim = (size_t)c->n_kv_heads * (size_t)c->head_dim;
    size_t ff_rows = T < RUN_MAX_TOKENS ? T : RUN_MAX_TOKENS;
    s->x = floats(a, T, d_model);
    s->normed = floats(a, T, d_model);
    s->q = floats(a, T, q_dim);
    s->keys = floats(a, T, kv_dim);
    s->values = floats(a, T, kv_dim);
    s->heads = floats(a, T, q_dim);
    s->block = floats(a, T, d_model);
    s->gate = floats(a, ff_rows, d_ff);
    s->up = floats(a, ff_rows, d_ff);
    s->linear_shared = floats(a, 1, linear_shared_bytes(c, T) / sizeof(float));
    s->linear_own = per_thread(a, s->n_threads, 1, linear_thread_bytes(c, T) / sizeof(float));
    s->attention_own = per_thread(a, s->n_threads, 1, attention_thread_floats(c, s->n_context));
}

static void make_low_rank(struct run_state *s, struct allocator *a)
{
    if (!s->adapter_rank) return;
    s->low_rank_hidden = floats(a, (size_t)s->max_tokens, (size_t)s->adapter_rank);
    s->low_rank_delta = per_thread(a, s->n_threads, (size_t)s->max_tokens, LOW_RANK_TILE);
}

/* Every buffer of a state whose counts are set. */
static void make_buffers(struct run_state *s, const struct model_config *c, struct allocator *a)
{
    s->logits = c->architecture->is_encoder ? floats(a, 1, (size_t)c->n_labels)
                                            : floats(a, (size_t)s->logit_rows, (size_t)c->n_vocab);
    make_activations(s, c, a);
    make_rope(s, c, a);
    make_low_rank(s, a);
}

int run_state_max_tokens(const struct model_config *c, const struct run_sizes *sizes)
{
    if (c->architecture->is_encoder) return sizes->n_context;
    bool few = sizes->n_context < RUN_MAX_TOKENS / sizes->n_sequences;
    return few ? sizes->n_context * sizes->n_sequences : RUN_MAX_TOKENS;
}

static struct run_state sized_state(const struct model_config *c, const struct run_sizes *sizes)
{
    int max_tokens = run_state_max_tokens(c, sizes);
    return (struct run_state){
        .n_context = sizes->n_context,
        .n_threads = sizes->n_threads,
        .max_tokens = max_tokens,
        .adapter_rank = sizes->adapter_rank,
        .logit_rows = max_tokens < RUN_LOGIT_ROWS ? max_tokens : RUN_LOGIT_ROWS,
    };
}

size_t run_state_bytes(const struct model_config *config, const struct run_sizes *sizes)
{
    struct run_state s = sized_state(config, sizes);
    struct allocator counter = {0};
    make_buffers(&s, config, &counter);
    return counter.bytes;
}

status_code run_state_init(struct run_state *state, const struct model *model,
                           const struct run_sizes *sizes, struct status *st)
{
    struct run_state s = sized_state(&model->config, sizes);
    arena_init(&s.arena, SIZE_MAX);
    struct allocator a = {.arena = &s.arena};
    /* One block of the size that is known, where an arena that grows would double it. */
    a.failed = !arena_reserve(&s.arena, run_state_bytes(&model->config, sizes));
    if (!a.failed) make_buffers(&s, &model->config, &a);
    if (a.failed) {
        run_state_release(&s);
        return status_set(st, STATUS_NO_MEMORY,
                          "out of memory for a context of %d positions; ask for a shorter one",
                          sizes->n_context);
    }
    set_frequencies(&s, model);
    *state = s;
    return STATUS_OK;
}

void run_state_release(struct run_state *state)
{
    arena_release(&state->arena);
    *state = (struct run_state){0};
}
