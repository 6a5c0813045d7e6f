/* Products with packed int8 weights for x86-64 with AVX-512 and VNNI.
 *
 * A tile is a panel's 32 rows by up to 6 tokens: 12 registers of integers, 12 of a group's sums,
 * two of weights, one of activations.  Weights of a group (8 KB) stay in the first-level cache
 * while all tokens go by. */
#include "engine/kernels/kernels_avx512.h"

#if defined(__x86_64__)

#include "engine/kernels/kernels_avx512_int8.h"

#define TILE_TOKENS AVX512_STREAM_TOKENS /* more than that make two tiles at least */
#define X_LINES     5 /* of activations to fetch with 32 columns: a tile has 36 */

void avx512_prepare_int8(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                         size_t first, size_t n)
{
    int8_prepare(prepared, x, T, K, form, first, n);
}

/* What a tile is computed from, and what a thread reads next. */
struct work {
    const struct int8_group *g;
    const unsigned char *next;
    size_t bytes; /* of `next`, to fetch */
};

/* The integer sums over one sub-block of `fours` * 4 columns, while `lines` lines of `next` are
 * fetched at each four. */
static inline __attribute__((always_inline)) void
sum_fours(__m512i dot[][2], const uint8_t *w, const int8_t *q, const int tokens, const int fours,
          const unsigned char *next, const int lines)
{
    UNROLL(8)
    for (int four = 0; four < fours; four++, w += FOUR_BYTES, q += 4) {
        UNROLL(2)
        for (int line = 0; line < lines; line++, next += 64)
            _mm_prefetch((const char *)next, _MM_HINT_T1);
        sum_four(dot, _mm512_load_si512(w), _mm512_load_si512(w + 64), q, tokens);
    }
}

/* n lines from `at` on. */
static inline __attribute__((always_inline)) void fetch_lines(const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) _mm_prefetch((const char *)at + 64 * i, _MM_HINT_T0);
}

/* sum -= min scale * (integer sum over sub-blocks of min * sum of q) */
static inline __attribute__((always_inline)) void subtract_mins(__m512 sum[][2],
                                                                const struct int8_group *g,
                                                                const struct int8_input *x,
                                                                const int tokens)
{
    UNROLL(2)
    for (int side = 0; side < 2; side++) {
        __m512 scale = _mm512_load_ps(g->min_scale + 16 * side);
        UNROLL(6)
        for (int t = 0; t < tokens; t++) {
            __m512i dot = _mm512_setzero_si512();
            for (int pair = 0; pair < 4; pair++) {
                int32_t sums;
                memcpy(&sums, x[t].sums + 2 * pair, 4);
                __m512i mins = _mm512_load_si512(&g->min[pair][16 * side]);
                dot = _mm512_dpwssd_epi32(dot, mins, _mm512_set1_epi32(sums));
            }
            sum[t][side] = _mm512_fnmadd_ps(scale, _mm512_cvtepi32_ps(dot), sum[t][side]);
        }
    }
}

/* sums (tokens, 32) += the group's products.  `tokens` and what follows are constants at every call
 * and the loops unroll into registers.  `few`: lines to fetch with each four when this is the only
 * tile of its group, else 0. */
static inline __attribute__((always_inline)) void run_tile(float *sums, const struct work *work,
                                                           const struct int8_input *x,
                                                           const int tokens, const int fours,
                                                           const bool has_mins, const int few)
{
    const struct int8_group *g = work->g;
    __m512 sum[TILE_TOKENS][2];
    UNROLL(6)
    for (int t = 0; t < tokens; t++) sum[t][0] = sum[t][1] = _mm512_setzero_ps();
    const uint8_t *w = g->numbers, *next = work->next;
    const char *x_ahead = (const char *)(x + tokens);
    size_t fetch = work->bytes / g->n_sub;
    for (size_t sub = 0; sub < g->n_sub; sub++, w += g->number_stride, next += fetch) {
        __m512i dot[TILE_TOKENS][2];
        UNROLL(6)
        for (int t = 0; t < tokens; t++)
            dot[t][0] = dot[t][1] =
                has_mins ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t].start[sub]);
        if (!few) {
            fetch_lines(next, (fetch + 63) / 64);
            fetch_lines(x_ahead, X_LINES * (size_t)fours / 8);
            x_ahead += 64 * X_LINES * (size_t)fours / 8;
        }
        sum_fours(dot, w, x->q + sub * (size_t)fours * 4, tokens, fours, next, few);
        if (few) _mm_prefetch((const char *)next + fours * few * 64, _MM_HINT_T1);
        add_sub_block(sum, dot, _mm512_load_ps(g->scale[sub]), _mm512_load_ps(g->scale[sub] + 16),
                      tokens);
    }
    if (has_mins) subtract_mins(sum, g, x, tokens);
    add_group(sums, sum, x, tokens);
}

#define TILE(n, few)                                                                               \
    case n:                                                                                        \
        run_tile(sums, work, x, n, fours, has_mins, few);                                          \
        break

/* One of several tiles: none is narrower than half of the widest. */
static inline __attribute__((always_inline)) void run_tokens(float *sums, const struct work *work,
                                                             const struct int8_input *x,
                                                             size_t tokens, const int fours,
                                                             const bool has_mins)
{
    switch (tokens) {
        TILE(3, 0);
        TILE(4, 0);
        TILE(5, 0);
        TILE(6, 0);
    }
}

/* The only tile of a form that is not streamed. */
static void run_few_halved(float *sums, const struct work *work, const struct int8_input *x,
                           size_t tokens)
{
    const int fours = 4;
    const bool has_mins = false;
    switch (tokens) {
        TILE(1, 2);
        TILE(2, 2);
        TILE(3, 2);
        TILE(4, 2);
        TILE(5, 2);
        TILE(6, 2);
    }
}

/* In tiles of about equal width, each of which fetches its part of what comes next. */
static inline __attribute__((always_inline)) void run_tiles(float *sums, struct work work,
                                                            const struct int8_input *x, size_t T,
                                                            const int fours, const bool has_mins)
{
    size_t n_tiles = (T + TILE_TOKENS - 1) / TILE_TOKENS, first = 0;
    work.bytes /= n_tiles;
    for (size_t tile = 0; tile < n_tiles; tile++, work.next += work.bytes) {
        size_t end = T * (tile + 1) / n_tiles;
        run_tokens(sums + first * PACKED_ROWS, &work, x + first, end - first, fours, has_mins);
        first = end;
    }
}

/* ---- panels ---- */

static void run_plain(float *sums, const struct work *work, const struct int8_input *x, size_t T)
{
    run_tiles(sums, *work, x, T, 8, false);
}

static void run_with_mins(float *sums, const struct work *work, const struct int8_input *x,
                          size_t T)
{
    run_tiles(sums, *work, x, T, 8, true);
}

static void run_halved(float *sums, const struct work *work, const struct int8_input *x, size_t T)
{
    if (T <= TILE_TOKENS)
        run_few_halved(sums, work, x, T);
    else
        run_tiles(sums, *work, x, T, 4, false);
}

typedef void run_function(float *, const struct work *, const struct int8_input *, size_t);

static run_function *run_of(enum packed_form form)
{
    switch (form) {
    case PACKED_Q4_K:
        return run_with_mins;
    case PACKED_Q6_K:
        return run_halved;
    default:
        return run_plain;
    }
}

/* Panels that are multiplied side by side: they share what is read of the activations, when these
 * are too much for the second-level cache. */
#define SIDE_BY_SIDE 4
#define MUCH_BYTES   ((size_t)256 << 10)

/* Groups that what is fetched lies ahead when there are few tokens: memory is what is waited for,
 * and it answers after longer than a group takes. */
#define FEW_AHEAD 4

static void multiply_panels(const struct packed_product *p, size_t first, size_t n,
                            struct int8_group *g, float *sums)
{
    const struct packed_matrix *w = p->w;
    size_t panel_sums = p->T * PACKED_ROWS, bytes = int8_group_bytes(w->form);
    run_function *run = run_of(w->form);
    size_t ahead = p->T <= TILE_TOKENS ? FEW_AHEAD : 1;
    const unsigned char *src = w->data + first * w->panel_bytes;
    const struct int8_input *x = p->x;
    memset(sums, 0, n * panel_sums * sizeof *sums);
    for (size_t k = 0; k < w->cols; k += PACKED_GROUP, src += bytes, x += p->T) {
        size_t left = w->cols - k < PACKED_GROUP ? w->cols - k : PACKED_GROUP;
        for (size_t i = 0; i < n; i++) {
            const unsigned char *at = src + i * w->panel_bytes;
            const unsigned char *next = i + 1 < n ? at + w->panel_bytes : src + ahead * bytes;
            struct work work = {g, next, bytes};
            int8_open(g, w->form, at, left);
            run(sums + i * panel_sums, &work, x, p->T);
        }
    }
    avx512_write_panels(p, first, n, sums);
}

double avx512_peak_int8(size_t rounds)
{
    __m512i sum[AVX512_PEAK_CHAINS];
    const __m512i w = _mm512_set1_epi8((char)rounds), x = _mm512_set1_epi8(1);
    UNROLL(16)
    for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_set1_epi32(i);
    for (size_t round = 0; round < rounds; round++) UNROLL(16)
    for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], w, x);
    for (int i = 1; i < AVX512_PEAK_CHAINS; i++) sum[0] = _mm512_xor_si512(sum[0], sum[i]);
    return (double)_mm512_reduce_add_epi32(sum[0]);
}

void avx512_multiply_int8(const struct packed_product *p, size_t first, size_t n, void *scratch)
{
    size_t groups = (p->w->cols + PACKED_GROUP - 1) / PACKED_GROUP;
    size_t step = p->T * groups * sizeof(struct int8_input) > MUCH_BYTES ? SIDE_BY_SIDE : 1;
    if (avx512_streams(p->w->form, p->T)) {
        avx512_stream_int8(p, first, n, int8_sums(scratch));
        return;
    }
    for (size_t done = 0; done < n; done += step)
        multiply_panels(p, first + done, n - done < step ? n - done : step, scratch,
                        int8_sums(scratch));
}

#endif
