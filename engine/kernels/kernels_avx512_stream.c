/* Products of a few tokens with packed int8 weights for x86-64 with AVX-512 and VNNI.
 *
 * The weights come from memory and waiting for them is what takes the time.  So they are read from
 * end to end in the order in which they lie, numbers and scales, which the processor foresees, and
 * are unpacked in registers on their way. */
#include "engine/kernels/kernels_avx512.h"

#if defined(__x86_64__)

#include "engine/kernels/kernels_avx512_int8.h"

#define MAX_TOKENS AVX512_STREAM_TOKENS
#define WAITING    2 /* tokens up to which memory is what takes the time */

/* A four of all rows; what lies `ahead` of it is asked for.  With a token or two into the
 * second-level cache: too few lines can be on their way to the first to wait for memory there. */
static inline __attribute__((always_inline)) void load_four(__m512i four[2], const uint8_t *w,
                                                            const int ahead, const int tokens)
{
    four[0] = _mm512_load_si512(w);
    four[1] = _mm512_load_si512(w + 64);
    if (tokens <= WAITING) {
        _mm_prefetch((const char *)w + ahead, _MM_HINT_T1);
        _mm_prefetch((const char *)w + ahead + 64, _MM_HINT_T1);
    } else {
        _mm_prefetch((const char *)w + ahead, _MM_HINT_T0);
        _mm_prefetch((const char *)w + ahead + 64, _MM_HINT_T0);
    }
}

static inline __attribute__((always_inline)) __m512i low_nibbles(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

static inline __attribute__((always_inline)) __m512i high_nibbles(__m512i v)
{
    return low_nibbles(_mm512_srli_epi16(v, 4));
}

static inline __attribute__((always_inline)) __m512 halves_of(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const void *)p));
}

static inline __attribute__((always_inline)) void
start_sums(__m512i dot[][2], const struct int8_input *x, size_t sub, const int tokens)
{
    UNROLL(6)
    for (int t = 0; t < tokens; t++) dot[t][0] = dot[t][1] = _mm512_set1_epi32(x[t].start[sub]);
}

/* ---- Q8_0 and Q4_0: a scale follows each 32 columns ---- */

#define BLOCKS_AHEAD 2048 /* bytes */

static inline __attribute__((always_inline)) void add_blocks(__m512 sum[][2], const uint8_t *w,
                                                             const struct int8_input *x,
                                                             size_t n_sub, const int tokens,
                                                             const bool nibbles)
{
    const int fours = nibbles ? 4 : 8;
    for (size_t sub = 0; sub < n_sub; sub++, w += 2 * PACKED_ROWS) {
        const int8_t *q = x->q + sub * 32;
        __m512i dot[MAX_TOKENS][2];
        start_sums(dot, x, sub, tokens);
        UNROLL(8)
        for (int four = 0; four < fours; four++, w += FOUR_BYTES, q += 4) {
            __m512i v[2];
            load_four(v, w, BLOCKS_AHEAD, tokens);
            if (!nibbles) {
                sum_four(dot, v[0], v[1], q, tokens);
                continue;
            }
            sum_four(dot, low_nibbles(v[0]), low_nibbles(v[1]), q, tokens);
            sum_four(dot, high_nibbles(v[0]), high_nibbles(v[1]), q + 16, tokens);
        }
        add_sub_block(sum, dot, halves_of(w), halves_of(w + 32), tokens);
    }
}

/* ---- Q4_K: the scales follow 256 columns, until when integer sums wait ---- */

#define K_AHEAD 1024

/* sums[sub-block] = a group's integer sums */
static inline __attribute__((always_inline)) void sum_q4_k(__m512i sums[8][MAX_TOKENS][2],
                                                           const uint8_t *w,
                                                           const struct int8_input *x,
                                                           const int tokens)
{
    for (size_t sub = 0; sub < 8; sub += 2) {
        const int8_t *q = x->q + sub * 32;
        __m512i low[MAX_TOKENS][2], high[MAX_TOKENS][2];
        start_sums(low, x, sub, tokens);
        start_sums(high, x, sub + 1, tokens);
        UNROLL(8)
        for (int four = 0; four < 8; four++, w += FOUR_BYTES, q += 4) {
            __m512i v[2];
            load_four(v, w, K_AHEAD, tokens);
            sum_four(low, low_nibbles(v[0]), low_nibbles(v[1]), q, tokens);
            sum_four(high, high_nibbles(v[0]), high_nibbles(v[1]), q + 32, tokens);
        }
        UNROLL(6)
        for (int t = 0; t < tokens; t++) UNROLL(2)
        for (int side = 0; side < 2; side++) {
            sums[sub][t][side] = low[t][side];
            sums[sub + 1][t][side] = high[t][side];
        }
    }
}

static inline __attribute__((always_inline)) __m512i widen(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_load_si128((const void *)p));
}

static inline __attribute__((always_inline)) __m512 scale_at(__m512 d, const uint8_t *p)
{
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(widen(p)));
}

/* sum -= dmin * (integer sum over sub-blocks of min * sum of q) */
static inline __attribute__((always_inline)) void
subtract_q4_k_mins(__m512 sum[][2], const uint8_t *mins, const uint8_t *dmin,
                   const struct int8_input *x, const int tokens)
{
    __m512i dot[MAX_TOKENS][2];
    UNROLL(6)
    for (int t = 0; t < tokens; t++) dot[t][0] = dot[t][1] = _mm512_setzero_si512();
    for (size_t pair = 0; pair < 4; pair++, mins += 2 * PACKED_ROWS) {
        __m512i left =
            _mm512_or_si512(widen(mins), _mm512_slli_epi32(widen(mins + PACKED_ROWS), 16));
        __m512i right = _mm512_or_si512(widen(mins + 16),
                                        _mm512_slli_epi32(widen(mins + PACKED_ROWS + 16), 16));
        UNROLL(6)
        for (int t = 0; t < tokens; t++) {
            int32_t both;
            memcpy(&both, x[t].sums + 2 * pair, 4);
            dot[t][0] = _mm512_dpwssd_epi32(dot[t][0], left, _mm512_set1_epi32(both));
            dot[t][1] = _mm512_dpwssd_epi32(dot[t][1], right, _mm512_set1_epi32(both));
        }
    }
    __m512 left = halves_of(dmin), right = halves_of(dmin + 32);
    UNROLL(6)
    for (int t = 0; t < tokens; t++) {
        sum[t][0] = _mm512_fnmadd_ps(left, _mm512_cvtepi32_ps(dot[t][0]), sum[t][0]);
        sum[t][1] = _mm512_fnmadd_ps(right, _mm512_cvtepi32_ps(dot[t][1]), sum[t][1]);
    }
}

static inline __attribute__((always_inline)) void
add_q4_k(__m512 sum[][2], const uint8_t *w, const struct int8_input *x, const int tokens)
{
    const uint8_t *scales = w + 32 * FOUR_BYTES, *mins = scales + 8 * PACKED_ROWS;
    const uint8_t *d = mins + 8 * PACKED_ROWS, *dmin = d + 2 * PACKED_ROWS;
    const __m512 left = halves_of(d), right = halves_of(d + 32);
    __m512i sums[8][MAX_TOKENS][2];
    sum_q4_k(sums, w, x, tokens);
    for (size_t sub = 0; sub < 8; sub++, scales += PACKED_ROWS)
        add_sub_block(sum, sums[sub], scale_at(left, scales), scale_at(right, scales + 16), tokens);
    subtract_q4_k_mins(sum, mins, dmin, x, tokens);
}

/* ---- panels ---- */

/* sums (tokens, 32) = the products of the panel at w. */
static inline __attribute__((always_inline)) void stream_panel(float *sums,
                                                               const struct packed_product *p,
                                                               const uint8_t *w, const int tokens,
                                                               const enum packed_form form)
{
    const size_t cols = p->w->cols, group_bytes = int8_group_bytes(form);
    const struct int8_input *x = p->x;
    memset(sums, 0, (size_t)tokens * PACKED_ROWS * sizeof *sums);
    for (size_t k = 0; k < cols; k += PACKED_GROUP, x += tokens, w += group_bytes) {
        size_t columns = cols - k < PACKED_GROUP ? cols - k : PACKED_GROUP;
        __m512 sum[MAX_TOKENS][2];
        UNROLL(6)
        for (int t = 0; t < tokens; t++) sum[t][0] = sum[t][1] = _mm512_setzero_ps();
        if (form == PACKED_Q4_K)
            add_q4_k(sum, w, x, tokens);
        else
            add_blocks(sum, w, x, columns / 32, tokens, form == PACKED_Q4_0);
        add_group(sums, sum, x, tokens);
    }
}

#define STREAM(n)                                                                                  \
    case n:                                                                                        \
        stream_panel(sums, p, w, n, form);                                                         \
        break

static inline __attribute__((always_inline)) void stream_tokens(float *sums,
                                                                const struct packed_product *p,
                                                                size_t first, size_t n,
                                                                const enum packed_form form)
{
    for (size_t panel = first; panel < first + n; panel++) {
        const uint8_t *w = p->w->data + panel * p->w->panel_bytes;
        switch (p->T) {
            STREAM(1);
            STREAM(2);
            STREAM(3);
            STREAM(4);
            STREAM(5);
            STREAM(6);
        }
        avx512_write_panels(p, panel, 1, sums);
    }
}

bool avx512_streams(enum packed_form form, size_t T)
{
    return T <= MAX_TOKENS && (form == PACKED_Q8_0 || form == PACKED_Q4_0 || form == PACKED_Q4_K);
}

void avx512_stream_int8(const struct packed_product *p, size_t first, size_t n, float *sums)
{
    if (p->w->form == PACKED_Q8_0)
        stream_tokens(sums, p, first, n, PACKED_Q8_0);
    else if (p->w->form == PACKED_Q4_0)
        stream_tokens(sums, p, first, n, PACKED_Q4_0);
    else
        stream_tokens(sums, p, first, n, PACKED_Q4_K);
}

#endif
