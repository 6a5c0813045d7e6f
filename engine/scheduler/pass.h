/* pass.h - one forward pass: which tokens of which sequences are in it, and who reads its logits.
 *
 *   pass_begin() -> pass_add() per sequence -> pass_compute() -> pass_deliver()
 *
 * Rows are added sequence by sequence.  A token that another sequence has put into the same pass is
 * not added again, and what follows it can be computed beside it.
 */
#ifndef ASSAY_PASS_H
#define ASSAY_PASS_H

#include "engine/model/run_state.h"
#include "engine/model/token_batch.h"
#include "engine/scheduler/sequence.h"

/* A row's logits, for one sequence. */
struct delivery {
    int row, sequence;
};

struct pass {
    int n; /* rows */
    int max_rows;
    int32_t *tokens;             /* (max_rows) */
    int *positions;              /* (max_rows) */
    const int **blocks;          /* (max_rows) */
    int *nodes;                  /* (max_rows) */
    int *owners;                 /* (max_rows) the sequence that added the row */
    int *order;                  /* (max_rows) rows by position */
    int *places;                 /* (max_rows) of a row that is read, among these */
    int *read_rows;              /* (max_rows) the rows that are read, ascending */
    int *read_positions;         /* (max_rows) theirs */
    const int **read_blocks;     /* (max_rows) */
    struct delivery *deliveries; /* (max_rows * max_sequences) in that order */
    int n_deliveries;
    uint64_t n_new; /* rows that the cache did not hold */
};

/* The sequences at work: `slots` holds them all, `active` those that run, in order of arrival. */
struct roster {
    struct sequence *slots;
    int *active; /* [n_active] indices into slots */
    int n_active;
};

size_t pass_bytes(int max_rows, int max_sequences);
status_code pass_init(struct pass *pass, int max_rows, int max_sequences,
                      struct status *st) MUST_CHECK;
void pass_release(struct pass *pass);

void pass_begin(struct pass *pass);

/* Adds what a sequence can compute now, as far as there is room. */
void pass_add(struct pass *pass, struct prefix_tree *tree, const struct roster *roster, int slot);

/* Computes the rows, those that nobody reads without the last layer; their keys and values are in
 * the cache from now on. */
void pass_compute(struct pass *pass, struct prefix_tree *tree, const struct roster *roster,
                  const struct model *model, struct run_state *state);

/* Computes logits where they are wanted and calls on_logits of each sequence for its own, in order;
 * answers are in the sequences. */
void pass_deliver(struct pass *pass, const struct roster *roster, const struct model *model,
                  struct run_state *state);

#endif
