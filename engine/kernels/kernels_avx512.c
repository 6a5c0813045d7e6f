/* Kernels for x86-64 with AVX-512 as Zen 4, Sapphire Rapids and later have it (F, BW, DQ, VL, VNNI,
 * BF16): the table and its f32 entries. */
#include "engine/kernels/kernels_avx512.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "engine/kernels/unroll.h"

#define LANES 16 /* floats in a register */

/* __builtin_cpu_supports() knows this one in gcc only; it has seen to it that the operating system
 * keeps the registers. */
static bool has_bf16(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & bit_AVX512BF16) != 0;
}

static bool supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma") && has_bf16();
}

/* A mask of the first n < LANES floats. */
static inline __mmask16 tail_mask(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

/* Halves, quarters, pairs, neighbours: reduce_16() adds in the same order. */
static inline float sum_lanes(__m512 v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* ---- unpacking ---- */

static void unpack_q8_0(float *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i += Q8_0_VALUES, src += sizeof(struct block_q8_0)) {
        uint16_t half;
        memcpy(&half, src + offsetof(struct block_q8_0, scale), sizeof half);
        const unsigned char *q = src + offsetof(struct block_q8_0, q);
        __m512 scale = _mm512_set1_ps(_cvtsh_ss(half));
        for (size_t k = 0; k < Q8_0_VALUES; k += LANES) {
            __m128i bytes = _mm_loadu_si128((const void *)(q + k));
            __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
            _mm512_storeu_ps(dst + i + k, _mm512_mul_ps(scale, values));
        }
    }
}

static void unpack_bf16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256i bits = _mm256_loadu_si256((const void *)(src + 2 * i));
        __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
        _mm512_storeu_ps(dst + i, _mm512_castsi512_ps(wide));
    }
    tensor_type_find(TENSOR_BF16)->to_f32(dst + i, src + 2 * i, n - i);
}

static void unpack_f16(float *dst, const unsigned char *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(src + 2 * i))));
    tensor_type_find(TENSOR_F16)->to_f32(dst + i, src + 2 * i, n - i);
}

static void unpack(float *dst, const void *src, const struct tensor_type_info *type, size_t n)
{
    switch (type->type) {
    case TENSOR_Q8_0:
        unpack_q8_0(dst, src, n);
        break;
    case TENSOR_BF16:
        unpack_bf16(dst, src, n);
        break;
    case TENSOR_F16:
        unpack_f16(dst, src, n);
        break;
    default:
        type->to_f32(dst, src, n);
        break;
    }
}

/* ---- products in f32 ---- */

struct tile {
    float *out;
    size_t out_stride;
    const float *x;
    size_t x_stride;
    const float *w;
    size_t w_stride;
    size_t K;
};

/* Registers a and b folded into one: the upper half of each added to its lower. */
static inline __m512 fold_halves(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

static inline __m512 fold_quarters(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

static inline __m512 fold_pairs(__m512 a, __m512 b)
{
    __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

static inline __m512 fold_neighbours(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* The sums of the lanes of (4 tokens, 4 rows) registers: 128 bits of rows for each token.
 * sum_lanes() gives the same bits. */
static inline __attribute__((always_inline)) __m512 reduce_16(__m512 sum[4][4])
{
    __m512 row[4];
    UNROLL(4)
    for (int j = 0; j < 4; j++)
        row[j] =
            fold_quarters(fold_halves(sum[0][j], sum[1][j]), fold_halves(sum[2][j], sum[3][j]));
    return fold_neighbours(fold_pairs(row[0], row[1]), fold_pairs(row[2], row[3]));
}

/* One register of partial sums per output, whatever the tile's shape, so that shapes agree to the
 * bit.  `tokens` and `rows` are constants at every call and the loops unroll into registers. */
static inline __attribute__((always_inline)) void run_tile(const struct tile *t, const int tokens,
                                                           const int rows)
{
    __m512 sum[4][4];
    UNROLL(4)
    for (int i = 0; i < tokens; i++) {
        UNROLL(4)
        for (int j = 0; j < rows; j++) sum[i][j] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < t->K; k += LANES) {
        __mmask16 mask = t->K - k < LANES ? tail_mask(t->K - k) : 0xffff;
        __m512 w[4];
        UNROLL(4)
        for (int j = 0; j < rows; j++)
            w[j] = _mm512_maskz_loadu_ps(mask, t->w + (size_t)j * t->w_stride + k);
        UNROLL(4)
        for (int i = 0; i < tokens; i++) {
            __m512 x = _mm512_maskz_loadu_ps(mask, t->x + (size_t)i * t->x_stride + k);
            UNROLL(4)
            for (int j = 0; j < rows; j++) sum[i][j] = _mm512_fmadd_ps(x, w[j], sum[i][j]);
        }
    }
    if (tokens == 4 && rows == 4) {
        __m512 all = reduce_16(sum);
        _mm_storeu_ps(t->out, _mm512_extractf32x4_ps(all, 0));
        _mm_storeu_ps(t->out + t->out_stride, _mm512_extractf32x4_ps(all, 1));
        _mm_storeu_ps(t->out + 2 * t->out_stride, _mm512_extractf32x4_ps(all, 2));
        _mm_storeu_ps(t->out + 3 * t->out_stride, _mm512_extractf32x4_ps(all, 3));
        return;
    }
    UNROLL(4)
    for (int i = 0; i < tokens; i++) {
        UNROLL(4)
        for (int j = 0; j < rows; j++)
            t->out[(size_t)i * t->out_stride + (size_t)j] = sum_lanes(sum[i][j]);
    }
}

static inline __attribute__((always_inline)) void run_rows(struct tile t, size_t T, const int rows)
{
    size_t done = 0;
    for (; done + 4 <= T; done += 4, t.x += 4 * t.x_stride, t.out += 4 * t.out_stride)
        run_tile(&t, 4, rows);
    for (; done < T; done++, t.x += t.x_stride, t.out += t.out_stride) run_tile(&t, 1, rows);
}

static void dot_tile(float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, size_t T, size_t R, size_t K)
{
    struct tile t = {out, out_stride, x, x_stride, w, w_stride, K};
    size_t done = 0;
    for (; done + 4 <= R; done += 4, t.w += 4 * w_stride, t.out += 4) run_rows(t, T, 4);
    for (; done < R; done++, t.w += w_stride, t.out++) run_rows(t, T, 1);
}

/* Weighted rows of x, added to rows of out. */
struct mix {
    float *out;
    size_t out_stride;
    const float *a;
    size_t a_stride;
    const float *x;
    size_t x_stride, R;
};

/* tokens * width registers of outputs stay put while the rows go by; the mask is of each register,
 * or of the only one. */
static inline __attribute__((always_inline)) void
mix_tile(const struct mix *m, size_t k, __mmask16 mask, const int tokens, const int width)
{
    __m512 sum[4][4];
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int i = 0; i < width; i++)
            sum[t][i] = _mm512_maskz_loadu_ps(mask, m->out + (size_t)t * m->out_stride + k +
                                                        (size_t)i * LANES);
    }
    for (size_t r = 0; r < m->R; r++) {
        __m512 row[4];
        UNROLL(4)
        for (int i = 0; i < width; i++)
            row[i] = _mm512_maskz_loadu_ps(mask, m->x + r * m->x_stride + k + (size_t)i * LANES);
        UNROLL(4)
        for (int t = 0; t < tokens; t++) {
            __m512 factor = _mm512_set1_ps(m->a[(size_t)t * m->a_stride + r]);
            UNROLL(4)
            for (int i = 0; i < width; i++) sum[t][i] = _mm512_fmadd_ps(factor, row[i], sum[t][i]);
        }
    }
    UNROLL(4)
    for (int t = 0; t < tokens; t++) {
        UNROLL(4)
        for (int i = 0; i < width; i++)
            _mm512_mask_storeu_ps(m->out + (size_t)t * m->out_stride + k + (size_t)i * LANES, mask,
                                  sum[t][i]);
    }
}

static inline __attribute__((always_inline)) void mix_tokens(const struct mix *m, size_t K,
                                                             const int tokens)
{
    size_t k = 0;
    for (; k + 4 * LANES <= K; k += 4 * LANES) mix_tile(m, k, 0xffff, tokens, 4);
    for (; k < K; k += LANES) mix_tile(m, k, K - k < LANES ? tail_mask(K - k) : 0xffff, tokens, 1);
}

static void mix_rows(float *out, size_t out_stride, const float *a, size_t a_stride, const float *x,
                     size_t x_stride, size_t T, size_t R, size_t K)
{
    struct mix m = {out, out_stride, a, a_stride, x, x_stride, R};
    size_t done = 0;
    for (; done + 4 <= T; done += 4, m.a += 4 * a_stride, m.out += 4 * out_stride)
        mix_tokens(&m, K, 4);
    for (; done < T; done++, m.a += a_stride, m.out += out_stride) mix_tokens(&m, K, 1);
}

/* ---- element by element ---- */

/* exp(x) to about 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (its
 * Taylor series, which is as good as a fitted one at this length).  0 below the smallest normal
 * result, infinity above the largest; NaN stays NaN, since max and min return their second
 * operand. */
static inline __m512 exp_lanes(__m512 x)
{
    const __m512 lowest = _mm512_set1_ps(-87.33654f), highest = _mm512_set1_ps(89);
    __m512 clamped = _mm512_max_ps(lowest, _mm512_min_ps(highest, x));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(clamped, _mm512_set1_ps(1.44269504f)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    /* ln 2 in two parts, so that n times the first is exact. */
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), clamped);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    __mmask16 below = _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ);
    return _mm512_mask_blend_ps(below, _mm512_scalef_ps(p, n), _mm512_setzero_ps());
}

static void rms_norm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    for (size_t i = 0; i < n; i += 4 * LANES) {
        UNROLL(4)
        for (size_t j = 0; j < 4; j++) {
            size_t at = i + j * LANES, left = n > at ? n - at : 0;
            __m512 v = _mm512_maskz_loadu_ps(left < LANES ? tail_mask(left) : 0xffff, x + at);
            sum[j] = _mm512_fmadd_ps(v, v, sum[j]);
        }
    }
    float squares =
        sum_lanes(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
    __m512 scale =
        _mm512_set1_ps(1 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares / (float)n + eps))));
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale);
        v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, weight + i));
        _mm512_mask_storeu_ps(out + i, mask, v);
    }
}

/* 0.5 (1 + tanh u) = 1 / (1 + exp(-2 u)), which loses nothing where tanh is near -1. */
static inline __m512 gelu_lanes(__m512 g)
{
    const __m512 minus_two_sqrt_2_over_pi = _mm512_set1_ps(-2 * 0.7978845608028654f);
    __m512 cubed = _mm512_mul_ps(_mm512_mul_ps(g, g), g);
    __m512 inner = _mm512_fmadd_ps(_mm512_set1_ps(0.044715f), cubed, g);
    __m512 e = exp_lanes(_mm512_mul_ps(minus_two_sqrt_2_over_pi, inner));
    return _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1), e));
}

static void gelu_tanh_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        __m512 y = _mm512_mul_ps(gelu_lanes(_mm512_maskz_loadu_ps(mask, gate + i)),
                                 _mm512_maskz_loadu_ps(mask, up + i));
        _mm512_mask_storeu_ps(gate + i, mask, y);
    }
}

static void silu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
        __m512 e = exp_lanes(_mm512_sub_ps(_mm512_setzero_ps(), g));
        __m512 y = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1), e));
        y = _mm512_mul_ps(y, _mm512_maskz_loadu_ps(mask, up + i));
        _mm512_mask_storeu_ps(gate + i, mask, y);
    }
}

static float max_of(const float *x, size_t n)
{
    __m512 most = _mm512_set1_ps(x[0]);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        most = _mm512_mask_max_ps(most, mask, _mm512_maskz_loadu_ps(mask, x + i), most);
    }
    return _mm512_reduce_max_ps(most);
}

static void softmax(float *x, size_t n)
{
    const __m512 max = _mm512_set1_ps(max_of(x, n));
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        __m512 e = exp_lanes(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), max));
        _mm512_mask_storeu_ps(x + i, mask, e);
        sums = _mm512_mask_add_ps(sums, mask, sums, e);
    }
    const __m512 scale = _mm512_set1_ps(1 / sum_lanes(sums));
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = n - i < LANES ? tail_mask(n - i) : 0xffff;
        _mm512_mask_storeu_ps(x + i, mask,
                              _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale));
    }
}

/* ---- packed products ---- */

static double peak_f32(size_t rounds)
{
    __m512 sum[AVX512_PEAK_CHAINS];
    const __m512 w = _mm512_set1_ps((float)rounds), x = _mm512_set1_ps(0.5f);
    UNROLL(16)
    for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL(16)
        for (int i = 0; i < AVX512_PEAK_CHAINS; i++) sum[i] = _mm512_fmadd_ps(w, x, sum[i]);
    }
    for (int i = 1; i < AVX512_PEAK_CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return (double)_mm512_reduce_add_ps(sum[0]);
}

/* Token by token: neighbouring panels are neighbours in memory. */
void avx512_write_panels(const struct packed_product *p, size_t first, size_t n, const float *sums)
{
    for (size_t t = 0; t < p->T; t++)
        for (size_t i = 0; i < 2 * n; i++) {
            size_t row = first * PACKED_ROWS + i * LANES;
            if (row >= p->w->rows) break;
            size_t left = p->w->rows - row;
            __mmask16 mask = left < LANES ? tail_mask(left) : 0xffff;
            const float *at = sums + (i / 2 * p->T + t) * PACKED_ROWS + i % 2 * LANES;
            __m512 v = _mm512_load_ps(at);
            if (p->bias) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, p->bias + row));
            _mm512_mask_storeu_ps(p->out + t * p->out_stride + row, mask, v);
        }
}

static bool multiplies(enum packed_form form)
{
    return form != PACKED_NONE;
}

static void prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                    size_t first, size_t n)
{
    if (form == PACKED_BF16)
        avx512_prepare_bf16(prepared, x, T, K, first, n);
    else
        avx512_prepare_int8(prepared, x, T, K, form, first, n);
}

static void multiply(const struct packed_product *p, size_t first, size_t n, void *scratch)
{
    if (p->w->form == PACKED_BF16)
        avx512_multiply_bf16(p, first, n, scratch);
    else
        avx512_multiply_int8(p, first, n, scratch);
}

const struct kernel_set kernels_avx512 = {
    .name = "avx512",
    .supported = supported,
    .unpack = unpack,
    .dot_tile = dot_tile,
    .mix_rows = mix_rows,
    .rms_norm = rms_norm,
    .gelu_tanh_mul = gelu_tanh_mul,
    .silu_mul = silu_mul,
    .softmax = softmax,
    .multiplies = multiplies,
    .prepare = prepare,
    .multiply = multiply,
    .peaks = {{"f32", peak_f32, 2.0 * AVX512_PEAK_CHAINS * 16},
              {"bf16", avx512_peak_bf16, 2.0 * AVX512_PEAK_CHAINS * 32},
              {"int8", avx512_peak_int8, 2.0 * AVX512_PEAK_CHAINS * 64}},
};

#endif
