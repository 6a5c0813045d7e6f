/* block_layouts.h - the bytes of every block type, as ggml defines them (ggml-common.h).
 *
 * A block holds a fixed number of values.  `scale` and `min` are IEEE halves.  "q" stands for the
 * stored integer of one value; where it has more bits than a nibble, the upper ones lie apart.
 * Structs have no padding and no alignment of their own in a file: copy one out before reading it.
 *
 * Blocks of 32 have one scale.  Blocks of 256 ("k-quants" and IQ4_XS) are cut into sub-blocks whose
 * small integer scales are multiples of the block's.
 */
#ifndef ASSAY_QUANTS_BLOCK_LAYOUTS_H
#define ASSAY_QUANTS_BLOCK_LAYOUTS_H

#include <stdint.h>

/* ---- blocks of 32 ----
 * A byte of `q` holds value i in its low nibble and value i + 16 in its high one. */

#define Q4_0_VALUES   32
#define Q4_1_VALUES   32
#define Q5_0_VALUES   32
#define Q5_1_VALUES   32
#define Q8_0_VALUES   32
#define IQ4_NL_VALUES 32

struct block_q4_0 { /* scale * (q - 8) */
    uint16_t scale;
    uint8_t q[Q4_0_VALUES / 2];
};
_Static_assert(sizeof(struct block_q4_0) == 18, "Q4_0 blocks are 18 bytes");

struct block_q4_1 { /* scale * q + min */
    uint16_t scale, min;
    uint8_t q[Q4_1_VALUES / 2];
};
_Static_assert(sizeof(struct block_q4_1) == 20, "Q4_1 blocks are 20 bytes");

struct block_q5_0 { /* scale * (q - 16) */
    uint16_t scale;
    uint8_t high[4]; /* bit i is the fifth bit of value i */
    uint8_t q[Q5_0_VALUES / 2];
};
_Static_assert(sizeof(struct block_q5_0) == 22, "Q5_0 blocks are 22 bytes");

struct block_q5_1 { /* scale * q + min */
    uint16_t scale, min;
    uint8_t high[4]; /* as in Q5_0 */
    uint8_t q[Q5_1_VALUES / 2];
};
_Static_assert(sizeof(struct block_q5_1) == 24, "Q5_1 blocks are 24 bytes");

struct block_q8_0 { /* scale * q */
    uint16_t scale;
    int8_t q[Q8_0_VALUES];
};
_Static_assert(sizeof(struct block_q8_0) == 34, "Q8_0 blocks are 34 bytes");

struct block_iq4_nl { /* scale * level[q], see iq4_rows.c */
    uint16_t scale;
    uint8_t q[IQ4_NL_VALUES / 2];
};
_Static_assert(sizeof(struct block_iq4_nl) == 18, "IQ4_NL blocks are 18 bytes");

/* ---- blocks of 256 ---- */

#define K_VALUES 256

struct block_q2_k {          /* scale * s * q - min * m in sub-blocks of 16 */
    uint8_t scales[16];      /* per sub-block: s in the low nibble, m in the high one */
    uint8_t q[K_VALUES / 4]; /* byte 32 h + i: values 128 h + i + {0, 32, 64, 96}, low bits first */
    uint16_t scale, min;
};
_Static_assert(sizeof(struct block_q2_k) == 84, "Q2_K blocks are 84 bytes");

struct block_q3_k {             /* scale * (s - 32) * (q - 4) in sub-blocks of 16 */
    uint8_t high[K_VALUES / 8]; /* bit g of byte i: third bit of value 32 g + i */
    uint8_t q[K_VALUES / 4];    /* as in Q2_K */
    uint8_t scales[12];         /* 16 of 6 bits: low nibbles in bytes 0..7, upper bits in 8..11 */
    uint16_t scale;
};
_Static_assert(sizeof(struct block_q3_k) == 110, "Q3_K blocks are 110 bytes");

struct block_q4_k { /* scale * s * q - min * m in sub-blocks of 32 */
    uint16_t scale, min;
    uint8_t scales[12];      /* 8 pairs (s, m) of 6 bits each, see k_rows.c */
    uint8_t q[K_VALUES / 2]; /* byte 32 g + i: values 64 g + i (low) and 64 g + 32 + i (high) */
};
_Static_assert(sizeof(struct block_q4_k) == 144, "Q4_K blocks are 144 bytes");

struct block_q5_k { /* scale * s * q - min * m in sub-blocks of 32 */
    uint16_t scale, min;
    uint8_t scales[12];         /* as in Q4_K */
    uint8_t high[K_VALUES / 8]; /* bit g of byte i: fifth bit of value 32 g + i */
    uint8_t q[K_VALUES / 2];    /* as in Q4_K */
};
_Static_assert(sizeof(struct block_q5_k) == 176, "Q5_K blocks are 176 bytes");

struct block_q6_k {          /* scale * s * (q - 32) in sub-blocks of 16 */
    uint8_t q[K_VALUES / 2]; /* byte 64 h + i: values 128 h + i (low) and 128 h + 64 + i (high) */
    uint8_t high[K_VALUES / 4]; /* as q of Q2_K: the upper two bits */
    int8_t scales[16];
    uint16_t scale;
};
_Static_assert(sizeof(struct block_q6_k) == 210, "Q6_K blocks are 210 bytes");

struct block_iq4_xs { /* scale * (s - 32) * level[q] in sub-blocks of 32 */
    uint16_t scale;
    uint16_t scales_high;    /* two upper bits of each sub-block's s, first sub-block lowest */
    uint8_t scales_low[4];   /* four lower bits of each */
    uint8_t q[K_VALUES / 2]; /* byte 16 b + i: values 32 b + i (low) and 32 b + 16 + i (high) */
};
_Static_assert(sizeof(struct block_iq4_xs) == 136, "IQ4_XS blocks are 136 bytes");

#endif
