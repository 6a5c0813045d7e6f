/* run_state.h - everything that a forward pass writes.
 *
 * A `run_state` belongs to one scheduler or session.  All of it is allocated before the first
 * token; a forward pass allocates nothing.  Letters: T = tokens computed together (at most
 * max_tokens), C = context positions, P = pairs of rotated dimensions.
 */
#ifndef ASSAY_MODEL_RUN_STATE_H
#define ASSAY_MODEL_RUN_STATE_H

#include "engine/base/arena.h"
#include "engine/model/model.h"

/* Tokens of one decoder pass: enough that reading the weights is shared, few enough that the
 * activations are small beside them.  An encoder's pass is the whole text. */
#define RUN_MAX_TOKENS 512

/* Positions whose logits are computed together: the output head is read once for them. */
#define RUN_LOGIT_ROWS 32

/* What the size of a run state follows from. */
struct run_sizes {
    int n_context;   /* C, the most positions of a sequence */
    int n_sequences; /* in one pass, at most; of an encoder 1 */
    int n_threads;
    int adapter_rank; /* of the model; 0 without an adapter */
};

/* Cosines and sines of the angles of the pass's positions. */
struct rope_table {
    double *frequencies; /* (P) angle per position */
    float *cos, *sin;    /* (T, P) */
};

struct run_state {
    int n_context; /* C */
    int n_threads;
    int max_tokens;
    int logit_rows;   /* at most RUN_LOGIT_ROWS */
    int adapter_rank; /* 0 without an adapter */

    float *x;      /* (T, d_model) the residual stream; after the pass, hidden states */
    float *normed; /* (T, d_model) input of a block */
    float *q;      /* (T, n_heads * head_dim) */
    float *heads;  /* (T, n_heads * head_dim) what attention gathered */
    float *block;  /* (T, d_model) output of a block, before it joins the residual stream */
    float *keys;   /* (T, n_kv_heads * head_dim) of the pass's tokens in one layer, after RoPE */
    float *values; /* (T, n_kv_heads * head_dim) */
    float *gate;   /* (min(T, RUN_MAX_TOKENS), d_ff) */
    float *up;     /* (min(T, RUN_MAX_TOKENS), d_ff) */
    float *logits; /* (logit_rows, n_vocab) or, of an encoder, (n_labels) */

    int rope_pairs; /* P */
    struct rope_table rope;
    struct rope_table local_rope; /* of windowed layers; the same memory where they do not differ */

    float *linear_shared;  /* scratch of matrix products, see linear.h */
    float **linear_own;    /* [n_threads] -> the same, of each thread */
    float **attention_own; /* [n_threads] -> scratch of attention, see attention.h */

    /* Of an adapter; without one nothing is allocated. */
    float *low_rank_hidden; /* (T, largest rank) A x */
    float **low_rank_delta; /* [n_threads] -> (T, LOW_RANK_TILE) rows of B (A x) */

    struct arena arena;
};

/* Fails with STATUS_NO_MEMORY. */
status_code run_state_init(struct run_state *state, const struct model *model,
                           const struct run_sizes *sizes, struct status *st) MUST_CHECK;

/* Before a pass: the rotary angles of its T tokens' positions. */
void run_state_set_positions(struct run_state *state, const int *positions, int T);

void run_state_release(struct run_state *state);

/* The tokens of the largest pass. */
int run_state_max_tokens(const struct model_config *config, const struct run_sizes *sizes);

/* The bytes that run_state_init() asks for; SIZE_MAX when that is more than can be counted. */
size_t run_state_bytes(const struct model_config *config, const struct run_sizes *sizes);

/* A rotary frequency as the settings scale it. */
double rope_scaled_frequency(const struct rope_settings *rope, double frequency);

#endif
