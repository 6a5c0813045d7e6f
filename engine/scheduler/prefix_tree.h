/* prefix_tree.h - which sequences begin alike, and the blocks that hold it.
 *
 *   prefix_tree_find() -> hold -> add nodes for what is new -> release, last node first
 *
 * A node is one block of a kv_cache: up to KV_BLOCK tokens that follow those of its parent.  A path
 * from the root is a sequence; its nodes' ids are its list of blocks.  Only a full node has
 * children, and siblings may begin alike: where sequences part inside a block, the second gets a
 * copy of what they share.  A node's tokens are known before they are computed: the first n_ready
 * are in the cache, the others are what somebody who holds the node is about to compute, so that
 * others can wait for it.
 *
 * Nodes that nobody holds stay until their block is needed; the one whose turn came longest ago
 * goes first, leaves before their parents.  So do near parts of blocks (kv_cache.h).
 */
#ifndef ASSAY_PREFIX_TREE_H
#define ASSAY_PREFIX_TREE_H

#include "engine/model/kv_cache.h"

#define NO_NODE (-1)

struct prefix_node {
    int32_t tokens[KV_BLOCK];
    int n_tokens, n_ready;
    int n_pass; /* ready once the pass that is being put together is done; n_ready or more */
    int parent, first_child, previous, next; /* siblings */
    int holders;
    int near_holders;          /* those that may still look at it through a window */
    int writer;                /* who computes what is not ready; -1 = nobody in particular */
    int settled, near_settled; /* sequences that count on it staying, see sequence.h */
    bool listed, near_listed;
};

/* A queue of nodes through one of the two pairs of links below. */
struct node_queue {
    int first, last;
    int *previous, *next; /* [n_blocks] */
};

struct prefix_tree {
    struct kv_cache *cache;
    struct prefix_node *nodes; /* [n_blocks] */
    int first_child;           /* of the root */
    int *free_nodes;           /* [n_blocks]; the first n_free are free */
    int n_free;
    int n_settled, n_near_settled; /* nodes with at least one */
    struct node_queue idle;        /* leaves that nobody holds, the oldest first */
    struct node_queue near_idle;   /* nodes whose near part nobody needs */
};

size_t prefix_tree_bytes(int n_blocks);

status_code prefix_tree_init(struct prefix_tree *tree, struct kv_cache *cache,
                             struct status *st) MUST_CHECK;
void prefix_tree_release(struct prefix_tree *tree);

/* The child of a node (NO_NODE: of the root) that has most of the n tokens at its start, and how
 * many in *common; NO_NODE when none has the first. */
int prefix_tree_find(const struct prefix_tree *tree, int parent, const int32_t *tokens, int n,
                     int *common);

/* A new node of at most KV_BLOCK tokens, held once.  The caller has seen to it that a block is free
 * or idle. */
int prefix_tree_add(struct prefix_tree *tree, int parent, const int32_t *tokens, int n);

/* A held node keeps its block.  What nobody is going to compute is forgotten with the last holder.
 */
void prefix_tree_hold(struct prefix_tree *tree, int node);
void prefix_tree_drop(struct prefix_tree *tree, int node);

/* The same for a near part, where a block has one. */
void prefix_tree_hold_near(struct prefix_tree *tree, int node);
void prefix_tree_drop_near(struct prefix_tree *tree, int node);

/* Gives a node whose near part is held one, taking it from the longest idle if none is free. */
void prefix_tree_make_near(struct prefix_tree *tree, int node);

/* Forgets a node and everything below it.  False, and nothing happens, where one of them is held.
 */
bool prefix_tree_forget(struct prefix_tree *tree, int node);

#endif
