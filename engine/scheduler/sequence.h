/* sequence.h - one job on its way through the tree of prefixes.
 *
 *   sequence_match()   finds and holds what the tree has of the job's tokens
 *   sequence_plan()    adds nodes for the others; from now on other jobs can find them
 *   sequence_append()  the next token, once all before it are computed
 *   sequence_release()
 *
 * Between the first two the scheduler asks whether the job fits.  The promise is that a sequence
 * which was let in never lacks a block.  What a sequence found whole and will not change is
 * settled: it counts once, however many share it.  Everything else that a sequence may come to hold
 * is its quota: the blocks of its longest form and one more, for the moment when it parts from
 * another inside a block.  So settled nodes and quotas together may not be more than there are
 * blocks; whatever else the tree holds is idle and gives way.  Near parts (kv_cache.h) are counted
 * in the same way.
 */
#ifndef ASSAY_SEQUENCE_H
#define ASSAY_SEQUENCE_H

#include "engine/scheduler/prefix_tree.h"
#include "engine/scheduler/scheduler.h"

struct sequence {
    struct scheduler_job *job;
    int *path; /* [blocks of the context + 1] nodes, in the order of positions */
    int n_path;
    int n_tokens;     /* so far */
    int max_tokens;   /* at the end, at most */
    int first_logits; /* the job's, from 0 to INT_MAX */
    int done;         /* positions that need no more work */
    int cursor;       /* positions that will need none after the pass being put together */
    int expect;       /* the next position whose logits are for this job */

    /* path[source_block] begins with a copy of another node's first n_copied tokens, which is still
     * to be made; NO_NODE when it is not. */
    int source, source_block, n_copied;

    int n_settled;    /* nodes at the path's start */
    int near_settled; /* of these, from here on with their near part */
    int near_from;    /* nodes of the path from here on have their near part held */
    int quota, near_quota;

    int32_t answer; /* what on_logits said last */
    bool finished;
};

void sequence_match(struct sequence *q, struct prefix_tree *tree, struct scheduler_job *job,
                    int max_tokens, int pass_tokens);
void sequence_plan(struct sequence *q, struct prefix_tree *tree, int self);
void sequence_append(struct sequence *q, struct prefix_tree *tree, int32_t token, int self);
void sequence_release(struct sequence *q, struct prefix_tree *tree);

/* The node that holds, or will hold, a position before the copy is made. */
int sequence_node_at(const struct sequence *q, int position);

/* Makes the copy of the first n tokens that is still to be made. */
void sequence_copy(struct sequence *q, struct prefix_tree *tree, int n);

/* Moves `done` over positions that are in the cache and whose logits nobody here wants, and lets go
 * of near parts that are behind the window. */
void sequence_advance(struct sequence *q, struct prefix_tree *tree);

int32_t sequence_token(const struct sequence *q, const struct prefix_tree *tree, int position);

#endif
