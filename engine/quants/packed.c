#include "engine/quants/packed.h"

#include <string.h>

#include "engine/quants/rows.h"

/* Bytes of one step of columns in a panel. */
#define PAIR_BYTES (PACKED_ROWS * 4)
#define FOUR_BYTES (PACKED_ROWS * 4)
#define HALVES     (PACKED_ROWS * 2) /* one f16 per row */

#define Q8_0_BYTES (8 * FOUR_BYTES + HALVES)
#define Q4_0_BYTES (4 * FOUR_BYTES + HALVES)
#define Q4_K_BYTES (32 * FOUR_BYTES + 16 * PACKED_ROWS + 2 * HALVES)
#define Q6_K_BYTES (48 * FOUR_BYTES + 16 * PACKED_ROWS + HALVES)

enum packed_form packed_form_of(enum tensor_type type)
{
    switch (type) {
    case TENSOR_BF16:
        return PACKED_BF16;
    case TENSOR_Q8_0:
        return PACKED_Q8_0;
    case TENSOR_Q4_0:
        return PACKED_Q4_0;
    case TENSOR_Q4_K:
        return PACKED_Q4_K;
    case TENSOR_Q6_K:
        return PACKED_Q6_K;
    default:
        return PACKED_NONE;
    }
}

size_t packed_panels(size_t rows)
{
    return (rows + PACKED_ROWS - 1) / PACKED_ROWS;
}

size_t packed_panel_bytes(enum packed_form form, size_t cols)
{
    switch (form) {
    case PACKED_BF16:
        return (cols + 1) / 2 * PAIR_BYTES;
    case PACKED_Q8_0:
        return cols / Q8_0_VALUES * Q8_0_BYTES;
    case PACKED_Q4_0:
        return cols / Q4_0_VALUES * Q4_0_BYTES;
    case PACKED_Q4_K:
        return cols / K_VALUES * Q4_K_BYTES;
    case PACKED_Q6_K:
        return cols / K_VALUES * Q6_K_BYTES;
    case PACKED_NONE:
        break;
    }
    return 0;
}

/* ---- one row of a panel ---- */

/* Step i of a row's bytes, four at a time, goes to step i of the panel. */
static void put_fours(unsigned char *steps, size_t row, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) memcpy(steps + i * FOUR_BYTES + 4 * row, bytes + 4 * i, 4);
}

static void put_bf16(unsigned char *panel, size_t row, const unsigned char *src, size_t cols)
{
    put_fours(panel, row, src, cols / 2);
    if (cols % 2) memcpy(panel + cols / 2 * PAIR_BYTES + 4 * row, src + 2 * (cols - 1), 2);
}

static void put_q8_0(unsigned char *panel, size_t row, const unsigned char *src, size_t cols)
{
    for (size_t k = 0; k < cols; k += Q8_0_VALUES) {
        unsigned char numbers[Q8_0_VALUES];
        memcpy(panel + 8 * FOUR_BYTES + 2 * row, src, 2);
        for (size_t i = 0; i < Q8_0_VALUES; i++) numbers[i] = src[2 + i] ^ 128;
        put_fours(panel, row, numbers, 8);
        panel += Q8_0_BYTES, src += sizeof(struct block_q8_0);
    }
}

static void put_q4_0(unsigned char *panel, size_t row, const unsigned char *src, size_t cols)
{
    for (size_t k = 0; k < cols; k += Q4_0_VALUES) {
        memcpy(panel + 4 * FOUR_BYTES + 2 * row, src, 2);
        put_fours(panel, row, src + 2, 4);
        panel += Q4_0_BYTES, src += sizeof(struct block_q4_0);
    }
}

static void put_q4_k(unsigned char *panel, size_t row, const unsigned char *src, size_t cols)
{
    for (size_t k = 0; k < cols; k += K_VALUES) {
        struct block_q4_k block;
        memcpy(&block, src, sizeof block);
        put_fours(panel, row, block.q, 32);
        unsigned char *scales = panel + 32 * FOUR_BYTES, *mins = scales + 8 * PACKED_ROWS;
        for (int sub = 0; sub < 8; sub++) {
            int scale, min;
            q4_k_scale_min(block.scales, sub, &scale, &min);
            scales[(size_t)sub * PACKED_ROWS + row] = (unsigned char)scale;
            mins[(size_t)sub * PACKED_ROWS + row] = (unsigned char)min;
        }
        memcpy(mins + 8 * PACKED_ROWS + 2 * row, &block.scale, 2);
        memcpy(mins + 8 * PACKED_ROWS + HALVES + 2 * row, &block.min, 2);
        panel += Q4_K_BYTES, src += sizeof block;
    }
}

static void put_q6_k(unsigned char *panel, size_t row, const unsigned char *src, size_t cols)
{
    for (size_t k = 0; k < cols; k += K_VALUES) {
        struct block_q6_k block;
        memcpy(&block, src, sizeof block);
        unsigned char *at = panel;
        for (int half = 0; half < 2; half++, at += 24 * FOUR_BYTES) {
            put_fours(at, row, block.q + 64 * half, 16);
            put_fours(at + 16 * FOUR_BYTES, row, block.high + 32 * half, 8);
        }
        for (size_t sub = 0; sub < 16; sub++)
            at[sub * PACKED_ROWS + row] = (unsigned char)block.scales[sub];
        memcpy(at + 16 * PACKED_ROWS + 2 * row, &block.scale, 2);
        panel += Q6_K_BYTES, src += sizeof block;
    }
}

void packed_fill(const struct packed_matrix *m, unsigned char *panel_data, size_t panel,
                 const unsigned char *rows, size_t row_bytes)
{
    size_t first = panel * PACKED_ROWS;
    if (m->rows - first < PACKED_ROWS || m->cols % 2) memset(panel_data, 0, m->panel_bytes);
    for (size_t r = 0; r < PACKED_ROWS && first + r < m->rows; r++) {
        const unsigned char *src = rows + (first + r) * row_bytes;
        switch (m->form) {
        case PACKED_BF16:
            put_bf16(panel_data, r, src, m->cols);
            break;
        case PACKED_Q8_0:
            put_q8_0(panel_data, r, src, m->cols);
            break;
        case PACKED_Q4_0:
            put_q4_0(panel_data, r, src, m->cols);
            break;
        case PACKED_Q4_K:
            put_q4_k(panel_data, r, src, m->cols);
            break;
        case PACKED_Q6_K:
            put_q6_k(panel_data, r, src, m->cols);
            break;
        case PACKED_NONE:
            break;
        }
    }
}
