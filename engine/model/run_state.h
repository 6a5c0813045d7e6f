/* run_state.h - everything that a forward pass writes.
 *
 * A `run_state` belongs to one session.  All of it is allocated before the first token; a forward
 * pass allocates nothing.  Letters: T = tokens computed together (at most RUN_MAX_TOKENS),
 * C = context positions.
 */
#ifndef ASSAY_MODEL_RUN_STATE_H
#define ASSAY_MODEL_RUN_STATE_H

#include "engine/base/arena.h"
#include "engine/model/model_config.h"

/* Tokens of one pass: enough that reading the weights is shared, few enough that the activations
 * stay in the cache. */
#define RUN_MAX_TOKENS 64

/* Rows of a weight matrix that a thread unpacks to f32 at a time. */
#define RUN_TILE_ROWS 6

/* Positions whose logits are computed together. */
#define RUN_LOGIT_ROWS 8

struct run_state {
    int n_context; /* C */
    int n_threads;

    float *x;      /* (T, d_model) the residual stream; after the pass, normed hidden states */
    float *normed; /* (T, d_model) input of a block */
    float *q;      /* (T, n_heads * head_dim) */
    float *heads;  /* (T, n_heads * head_dim) what attention gathered */
    float *block;  /* (T, d_model) output of a block, before it joins the residual stream */
    float *gate;   /* (T, d_ff) */
    float *up;     /* (T, d_ff) */
    float *logits; /* (RUN_LOGIT_ROWS, n_vocab) */

    float *keys;   /* (n_layers, C, n_kv_heads * head_dim) after RoPE */
    float *values; /* (n_layers, C, n_kv_heads * head_dim) */

    float *rope_cos; /* (C, head_dim / 2) */
    float *rope_sin; /* (C, head_dim / 2) */

    float **tile;   /* [n_threads] -> (RUN_TILE_ROWS, widest cols) unpacked weights */
    float **scores; /* [n_threads] -> (C) attention of one head */

    struct arena arena;
};

/* Allocates for C = n_context positions.  Fails with STATUS_NO_MEMORY. */
status_code run_state_init(struct run_state *state, const struct model_config *config,
                           int n_context, int n_threads, struct status *st) MUST_CHECK;
void run_state_release(struct run_state *state);

#endif
