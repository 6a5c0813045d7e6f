/* packed.h - weights laid out for the kernels that multiply them.
 *
 *   rows of a stored type -> packed_form_of(), packed_bytes(), packed_fill() -> a packed_matrix
 *
 * No bit of a weight is lost and none is added: a packed form holds the same numbers and scales in
 * another order.  32 rows make a panel, in which columns come in steps that one instruction takes
 * in (pairs of BF16, fours of 8-bit numbers), each step with all 32 rows side by side.  A panel is
 * one piece of memory, and panels follow each other, so that a thread which multiplies some of them
 * reads straight ahead.  Rows that are missing in the last panel are zero.
 *
 *   BF16   [pairs of columns][32 rows][2]; an odd last column is paired with zeros
 *   Q8_0   per 32 columns: [8 fours][32 rows][4] numbers + 128, [32 rows] f16 scales
 *   Q4_0   per 32 columns: [4 fours][32 rows][4] bytes, the low half of each of columns 0..15 and
 *          the high half of columns 16..31, [32 rows] f16 scales
 *   Q4_K   per 256 columns: [4][8 fours][32 rows][4] bytes, the low half of each of sub-block 2 g,
 *          the high half of 2 g + 1; [8][32] scales, [8][32] mins; [32] f16 d, [32] f16 dmin
 *   Q6_K   per 256 columns: 2 times ([16 fours][32 rows][4] bytes of four bits, low half first 64
 *          columns, high half the others; [8 fours][32 rows][4] bytes of two bits, four runs of 32
 *          columns); [16][32] scales; [32] f16 d
 *
 * The owner of the bytes is whoever allocated them.  Types without a form here are multiplied from
 * where they lie.
 */
#ifndef ASSAY_QUANTS_PACKED_H
#define ASSAY_QUANTS_PACKED_H

#include "engine/quants/quants.h"

#define PACKED_ROWS  ((size_t)32)  /* of a panel */
#define PACKED_BLOCK ((size_t)32)  /* columns */
#define PACKED_GROUP ((size_t)256) /* columns that share the scale of a quantised activation */

enum packed_form {
    PACKED_NONE, /* the type has no packed form */
    PACKED_BF16,
    PACKED_Q8_0,
    PACKED_Q4_0,
    PACKED_Q4_K,
    PACKED_Q6_K
};

struct packed_matrix {
    enum packed_form form;
    size_t rows, cols;
    size_t panel_bytes;
    const unsigned char *data; /* [packed_panels()][panel_bytes], aligned to 64 bytes */
};

enum packed_form packed_form_of(enum tensor_type type);

/* Panels that hold `rows` rows, and the bytes of one with `cols` columns: a multiple of 64. */
size_t packed_panels(size_t rows);
size_t packed_panel_bytes(enum packed_form form, size_t cols);

/* Writes one panel: rows 32 * panel and on of a matrix whose rows lie row_bytes apart. */
void packed_fill(const struct packed_matrix *matrix, unsigned char *panel_data, size_t panel,
                 const unsigned char *rows, size_t row_bytes);

#endif
