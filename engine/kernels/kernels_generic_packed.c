/* Portable products with packed weights: the reference for the fast ones, and for int8 the same
 * bits. */
#include <math.h>

#include "engine/kernels/kernels_generic.h"

static void floats_of_halves(float *dst, const uint16_t *src)
{
    for (size_t i = 0; i < PACKED_ROWS; i++) dst[i] = half_to_float(src[i]);
}

#include "engine/kernels/panels.h"

bool generic_multiplies(enum packed_form form)
{
    return form != PACKED_NONE;
}

/* ---- BF16 ---- */

/* Columns in pairs, of which the last may have a 0: [T][pairs][2]. */
static void prepare_bf16(uint16_t *out, const float *x, size_t K, size_t first, size_t n)
{
    size_t width = (K + 1) / 2 * 2;
    for (size_t t = first; t < first + n; t++) {
        uint16_t *row = out + t * width;
        for (size_t k = 0; k < width; k++) row[k] = k < K ? float_to_bfloat16(x[t * K + k]) : 0;
    }
}

static void multiply_bf16(float *sums, const struct packed_product *p, size_t panel)
{
    size_t pairs = (p->w->cols + 1) / 2;
    const uint16_t *x = p->x;
    for (size_t t = 0; t < p->T; t++, sums += PACKED_ROWS, x += 2 * pairs) {
        const unsigned char *w = p->w->data + panel * p->w->panel_bytes;
        for (size_t pair = 0; pair < pairs; pair++) {
            float first = bfloat16_to_float(x[2 * pair]),
                  second = bfloat16_to_float(x[2 * pair + 1]);
            for (size_t r = 0; r < PACKED_ROWS; r++, w += 4) {
                uint16_t bits[2];
                memcpy(bits, w, sizeof bits);
                sums[r] += bfloat16_to_float(bits[0]) * first;
                sums[r] += bfloat16_to_float(bits[1]) * second;
            }
        }
    }
}

/* ---- int8 ---- */

/* One token and one group. */
static void multiply_group(float *sums, const struct int8_group *g, const struct int8_input *x,
                           enum packed_form form)
{
    float sum[PACKED_ROWS] = {0};
    size_t columns = int8_sub_columns(form);
    for (size_t sub = 0; sub < g->n_sub; sub++) {
        int32_t dot[PACKED_ROWS];
        const uint8_t *w = g->numbers + sub * g->number_stride;
        const int8_t *q = x->q + sub * columns;
        for (size_t r = 0; r < PACKED_ROWS; r++) dot[r] = x->start[sub];
        for (size_t k = 0; k < columns; k++)
            for (size_t r = 0; r < PACKED_ROWS; r++)
                dot[r] += w[k / 4 * FOUR_BYTES + 4 * r + k % 4] * q[k];
        for (size_t r = 0; r < PACKED_ROWS; r++)
            sum[r] = fmaf((float)dot[r], g->scale[sub][r], sum[r]);
    }
    for (size_t r = 0; r < PACKED_ROWS && form == PACKED_Q4_K; r++) {
        int32_t mins = 0;
        for (size_t sub = 0; sub < 8; sub++) mins += g->min[sub / 2][r][sub % 2] * x->sums[sub];
        sum[r] = fmaf(-g->min_scale[r], (float)mins, sum[r]);
    }
    for (size_t r = 0; r < PACKED_ROWS; r++) sums[r] = fmaf(sum[r], x->scale, sums[r]);
}

static void multiply_int8(float *sums, const struct packed_product *p, size_t panel,
                          struct int8_group *g)
{
    const struct packed_matrix *w = p->w;
    const unsigned char *src = w->data + panel * w->panel_bytes;
    const struct int8_input *x = p->x;
    for (size_t k = 0; k < w->cols; k += PACKED_GROUP, src += int8_group_bytes(w->form)) {
        size_t left = w->cols - k;
        int8_open(g, w->form, src, left < PACKED_GROUP ? left : PACKED_GROUP);
        for (size_t t = 0; t < p->T; t++, x++)
            multiply_group(sums + t * PACKED_ROWS, g, x, w->form);
    }
}

/* ---- both ---- */

void generic_prepare(void *prepared, const float *x, size_t T, size_t K, enum packed_form form,
                     size_t first, size_t n)
{
    if (form == PACKED_BF16)
        prepare_bf16(prepared, x, K, first, n);
    else
        int8_prepare(prepared, x, T, K, form, first, n);
}

void generic_multiply(const struct packed_product *p, size_t first, size_t n, void *scratch)
{
    float *sums = int8_sums(scratch);
    for (size_t panel = first; panel < first + n; panel++) {
        size_t row = panel * PACKED_ROWS, left = p->w->rows - row;
        memset(sums, 0, p->T * PACKED_ROWS * sizeof *sums);
        if (p->w->form == PACKED_BF16)
            multiply_bf16(sums, p, panel);
        else
            multiply_int8(sums, p, panel, scratch);
        for (size_t t = 0; t < p->T; t++)
            for (size_t r = 0; r < PACKED_ROWS && r < left; r++)
                p->out[t * p->out_stride + row + r] =
                    p->bias ? sums[t * PACKED_ROWS + r] + p->bias[row + r]
                            : sums[t * PACKED_ROWS + r];
    }
}
