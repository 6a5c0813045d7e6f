/* run_state.h - everything that a forward pass writes.
 *
 * A `run_state` belongs to one session.  All of it is allocated before the first token; a forward
 * pass allocates nothing.  Letters: T = tokens computed together (at most max_tokens), C = context
 * positions, P = pairs of rotated dimensions.
 */
#ifndef ASSAY_MODEL_RUN_STATE_H
#define ASSAY_MODEL_RUN_STATE_H

#include "engine/base/arena.h"
#include "engine/model/model.h"

/* Tokens of one decoder pass: enough that reading the weights is shared, few enough that the
 * activations stay in the cache.  An encoder's pass is the whole text. */
#define RUN_MAX_TOKENS 64

/* Positions whose logits are computed together. */
#define RUN_LOGIT_ROWS 8

/* Cosines and sines of the angles of the pass's positions. */
struct rope_table {
    double *frequencies; /* (P) angle per position */
    float *cos, *sin;    /* (T, P) */
};

struct run_state {
    int n_context; /* C */
    int n_threads;
    int max_tokens;
    int adapter_rank; /* 0 without an adapter */

    float *x;      /* (T, d_model) the residual stream; after the pass, hidden states */
    float *normed; /* (T, d_model) input of a block */
    float *q;      /* (T, n_heads * head_dim) */
    float *heads;  /* (T, n_heads * head_dim) what attention gathered */
    float *block;  /* (T, d_model) output of a block, before it joins the residual stream */
    float *gate;   /* (RUN_MAX_TOKENS, d_ff) */
    float *up;     /* (RUN_MAX_TOKENS, d_ff) */
    float *logits; /* (RUN_LOGIT_ROWS, n_vocab) or, of an encoder, (n_labels) */

    /* Of a decoder's n_layers layers; an encoder needs one layer's at a time. */
    float *keys;   /* (layers, C, n_kv_heads * head_dim) after RoPE */
    float *values; /* (layers, C, n_kv_heads * head_dim) */

    int rope_pairs; /* P */
    struct rope_table rope;
    struct rope_table local_rope; /* of windowed layers; the same memory where they do not differ */

    float *linear_shared; /* scratch of matrix products, see linear.h */
    float **linear_own;   /* [n_threads] -> the same, of each thread */

    /* Of an adapter; without one nothing is allocated. */
    float *low_rank_hidden; /* (T, largest rank) A x */
    float **low_rank_delta; /* [n_threads] -> (T, LOW_RANK_TILE) rows of B (A x) */

    float **scores; /* [n_threads] -> (n_heads / n_kv_heads, C) attention of the heads of a group */

    struct arena arena;
};

/* Allocates for C = n_context positions.  Fails with STATUS_NO_MEMORY. */
status_code run_state_init(struct run_state *state, const struct model *model, int n_context,
                           int n_threads, struct status *st) MUST_CHECK;

/* Before a pass: its rotary angles, for T tokens at positions start..start+T-1. */
void run_state_set_positions(struct run_state *state, int T, int start);

void run_state_release(struct run_state *state);

/* The bytes that run_state_init() asks for without an adapter, and the part of them that keys and
 * values take; SIZE_MAX when that is more than can be counted.  Pages of the cache that no token
 * fills stay untouched. */
size_t run_state_bytes(const struct model_config *config, int n_context, int n_threads);
size_t run_state_cache_bytes(const struct model_config *config, int n_context);

/* A rotary frequency as the settings scale it. */
double rope_scaled_frequency(const struct rope_settings *rope, double frequency);

#endif
