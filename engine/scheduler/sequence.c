#include "engine/scheduler/sequence.h"

#include <limits.h>
#include <string.h>

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* The first node whose near part a query at a position sees. */
static int near_start(const struct prefix_tree *tree, int position)
{
    int window = tree->cache->window;
    if (!window) return 0;
    return position < window ? 0 : (position - window + 1) / KV_BLOCK;
}

/* A near part that is there, or that its holders have or are going to make. */
static bool near_usable(const struct prefix_tree *tree, int node)
{
    return kv_cache_near_present(tree->cache, node) || tree->nodes[node].near_holders > 0;
}

int sequence_node_at(const struct sequence *q, int position)
{
    int block = position / KV_BLOCK;
    bool copied = q->source != NO_NODE && block == q->source_block;
    return copied && position % KV_BLOCK < q->n_copied ? q->source : q->path[block];
}

int32_t sequence_token(const struct sequence *q, const struct prefix_tree *tree, int position)
{
    if (position < q->job->n_tokens) return q->job->tokens[position];
    return tree->nodes[q->path[position / KV_BLOCK]].tokens[position % KV_BLOCK];
}

/* ---- joining the tree ---- */

/* What a walk from the root found: whole nodes in the path, then one that begins alike. */
struct found {
    int last, n_last; /* the node and how many tokens; NO_NODE and 0 */
};

static int n_found(const struct sequence *q, const struct found *found)
{
    return q->n_path * KV_BLOCK + found->n_last;
}

static void walk(struct sequence *q, struct prefix_tree *tree, struct found *found)
{
    int n = q->job->n_tokens;
    *found = (struct found){NO_NODE, 0};
    while (q->n_path * KV_BLOCK < n) {
        int at = q->n_path * KV_BLOCK, common;
        int parent = q->n_path ? q->path[q->n_path - 1] : NO_NODE;
        int node =
            prefix_tree_find(tree, parent, q->job->tokens + at, smaller(KV_BLOCK, n - at), &common);
        if (common < KV_BLOCK) {
            *found = (struct found){node, common};
            return;
        }
        q->path[q->n_path++] = node;
    }
}

static int found_node(const struct sequence *q, const struct found *found, int block)
{
    return block < q->n_path ? q->path[block] : found->last;
}

/* The first position of what was found that is still to be computed, for its own sake or for its
 * logits. */
static int first_open(const struct sequence *q, const struct prefix_tree *tree,
                      const struct found *found)
{
    int n = n_found(q, found), open = 0;
    while (open < n) {
        int ready = tree->nodes[found_node(q, found, open / KV_BLOCK)].n_ready;
        open += smaller(ready, n - open);
        if (ready < KV_BLOCK) break;
    }
    return smaller(open, q->first_logits);
}

/* Shortens what was found to the longest part whose near parts are all there, and forgets what
 * follows it where it can, for the sequence will compute it anew. */
static void drop_unusable(struct sequence *q, struct prefix_tree *tree, struct found *found)
{
    int block = near_start(tree, first_open(q, tree, found));
    while (block * KV_BLOCK < n_found(q, found)) {
        int node = found_node(q, found, block);
        if (near_usable(tree, node)) {
            block++;
            continue;
        }
        *found = (struct found){NO_NODE, 0};
        q->n_path = block;
        prefix_tree_forget(tree, node);
        block = near_start(tree, first_open(q, tree, found));
    }
}

static void settle(struct sequence *q, struct prefix_tree *tree)
{
    q->n_settled = q->n_path;
    q->near_settled = smaller(q->near_from, q->n_settled);
    for (int i = 0; i < q->n_settled; i++) {
        struct prefix_node *node = &tree->nodes[q->path[i]];
        if (node->settled++ == 0) tree->n_settled++;
        if (i >= q->near_settled && node->near_settled++ == 0) tree->n_near_settled++;
    }
}

static void unsettle(struct sequence *q, struct prefix_tree *tree)
{
    for (int i = 0; i < q->n_settled; i++) {
        struct prefix_node *node = &tree->nodes[q->path[i]];
        if (--node->settled == 0) tree->n_settled--;
        if (i >= q->near_settled && --node->near_settled == 0) tree->n_near_settled--;
    }
    q->n_settled = 0;
}

static void hold(struct prefix_tree *tree, int node, bool near)
{
    prefix_tree_hold(tree, node);
    if (near) prefix_tree_hold_near(tree, node);
}

/* Near parts first: a node that is dropped may be gone. */
static void drop(struct prefix_tree *tree, int node, bool near)
{
    if (near) prefix_tree_drop_near(tree, node);
    prefix_tree_drop(tree, node);
}

void sequence_match(struct sequence *q, struct prefix_tree *tree, struct scheduler_job *job,
                    int max_tokens, int pass_tokens)
{
    struct found found;
    *q = (struct sequence){
        .job = job,
        .path = q->path,
        .n_tokens = job->n_tokens,
        .max_tokens = max_tokens,
        .first_logits = !job->on_logits && !job->on_hidden ? INT_MAX
                        : job->first_logits < 0            ? 0
                                                           : job->first_logits,
        .source = NO_NODE,
        .answer = SCHEDULER_CONTINUE,
    };
    walk(q, tree, &found);
    if (tree->cache->window) drop_unusable(q, tree, &found);
    q->done = first_open(q, tree, &found);
    q->expect = q->first_logits;
    q->near_from = near_start(tree, q->done);
    settle(q, tree);
    for (int i = 0; i < q->n_path; i++) hold(tree, q->path[i], i >= q->near_from);
    if (found.last != NO_NODE) hold(tree, found.last, true);
    q->source = found.last;
    q->source_block = q->n_path;
    q->n_copied = found.n_last;
    int rest = KV_BLOCKS(max_tokens) - q->n_settled;
    int window_blocks = (tree->cache->window + pass_tokens - 2) / KV_BLOCK + 2;
    q->quota = rest + 1;
    q->near_quota = tree->cache->window ? smaller(rest, window_blocks) + 1 : 0;
}

static void add_node(struct sequence *q, struct prefix_tree *tree, const int32_t *tokens, int n,
                     int self)
{
    int parent = q->n_path ? q->path[q->n_path - 1] : NO_NODE;
    int node = prefix_tree_add(tree, parent, tokens, n);
    tree->nodes[node].writer = self;
    prefix_tree_hold_near(tree, node);
    q->path[q->n_path++] = node;
}

void sequence_plan(struct sequence *q, struct prefix_tree *tree, int self)
{
    const struct scheduler_job *job = q->job;
    int at = q->n_path * KV_BLOCK, rest = smaller(job->n_tokens - at, KV_BLOCK);
    if (q->source != NO_NODE) {
        struct prefix_node *last = &tree->nodes[q->source];
        if (q->n_copied == rest || q->n_copied == last->n_tokens) {
            /* All of it is the job's: go on in the same node. */
            for (int i = q->n_copied; i < rest; i++)
                last->tokens[last->n_tokens++] = job->tokens[at + i];
            q->path[q->n_path++] = q->source;
            q->source = NO_NODE;
        } else {
            add_node(q, tree, job->tokens + at, rest, self);
        }
        at += KV_BLOCK;
    }
    for (; at < job->n_tokens; at += KV_BLOCK)
        add_node(q, tree, job->tokens + at, smaller(job->n_tokens - at, KV_BLOCK), self);
}

/* ---- going on ---- */

static void copy_ready(struct prefix_tree *tree, int to, int from, int n)
{
    if (tree->cache->window) prefix_tree_make_near(tree, to);
    kv_cache_copy(tree->cache, to, from, n);
    tree->nodes[to].n_ready = tree->nodes[to].n_pass = n;
}

void sequence_copy(struct sequence *q, struct prefix_tree *tree, int n)
{
    int own = q->path[q->source_block];
    if (n > tree->nodes[own].n_ready) copy_ready(tree, own, q->source, n);
    drop(tree, q->source, true);
    q->source = NO_NODE;
}

void sequence_advance(struct sequence *q, struct prefix_tree *tree)
{
    while (q->done < q->n_tokens && q->done < q->first_logits) {
        const struct prefix_node *node = &tree->nodes[sequence_node_at(q, q->done)];
        if (q->done % KV_BLOCK >= node->n_ready) break;
        q->done++;
    }
    for (int from = near_start(tree, q->done); q->near_from < from; q->near_from++)
        prefix_tree_drop_near(tree, q->path[q->near_from]);
}

/* A sibling of `node` that goes on with the token where this sequence does, and has everything
 * before it; or NO_NODE. */
static int find_branch(const struct prefix_tree *tree, const struct prefix_node *node, int n,
                       int32_t token)
{
    int32_t tokens[KV_BLOCK];
    int common;
    memcpy(tokens, node->tokens, (size_t)n * sizeof *tokens);
    tokens[n] = token;
    int branch = prefix_tree_find(tree, node->parent, tokens, n + 1, &common);
    bool same = common == n + 1 && tree->nodes[branch].n_ready >= n;
    return same && near_usable(tree, branch) ? branch : NO_NODE;
}

static void append_inside(struct sequence *q, struct prefix_tree *tree, int n, int32_t token,
                          int self)
{
    int *last = &q->path[q->n_path - 1], old = *last;
    struct prefix_node *node = &tree->nodes[old];
    if (n < node->n_tokens && node->tokens[n] == token) return;
    int branch = find_branch(tree, node, n, token);
    if (branch != NO_NODE) {
        hold(tree, branch, true);
        *last = branch;
    } else if (n == node->n_tokens) {
        node->tokens[node->n_tokens++] = token;
        return;
    } else {
        int32_t tokens[KV_BLOCK];
        memcpy(tokens, node->tokens, (size_t)n * sizeof *tokens);
        tokens[n] = token;
        q->n_path--;
        add_node(q, tree, tokens, n + 1, self);
        copy_ready(tree, *last, old, n);
    }
    drop(tree, old, true);
}

void sequence_append(struct sequence *q, struct prefix_tree *tree, int32_t token, int self)
{
    int n = q->n_tokens++ % KV_BLOCK;
    if (n) {
        append_inside(q, tree, n, token, self);
        return;
    }
    int common, parent = q->n_path ? q->path[q->n_path - 1] : NO_NODE;
    int node = prefix_tree_find(tree, parent, &token, 1, &common);
    if (node != NO_NODE && near_usable(tree, node)) {
        hold(tree, node, true);
        q->path[q->n_path++] = node;
    } else {
        add_node(q, tree, &token, 1, self);
    }
}

void sequence_release(struct sequence *q, struct prefix_tree *tree)
{
    unsettle(q, tree);
    if (q->source != NO_NODE) drop(tree, q->source, true);
    q->source = NO_NODE;
    while (q->n_path > 0) {
        q->n_path--;
        drop(tree, q->path[q->n_path], q->n_path >= q->near_from);
    }
}
