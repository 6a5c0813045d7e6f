#include "engine/scheduler/prefix_tree.h"

#include <stdlib.h>
#include <string.h>

/* ---- queues ---- */

static void queue_append(struct node_queue *q, int node)
{
    q->previous[node] = q->last;
    q->next[node] = NO_NODE;
    if (q->last == NO_NODE)
        q->first = node;
    else
        q->next[q->last] = node;
    q->last = node;
}

static void queue_remove(struct node_queue *q, int node)
{
    int before = q->previous[node], after = q->next[node];
    if (before == NO_NODE)
        q->first = after;
    else
        q->next[before] = after;
    if (after == NO_NODE)
        q->last = before;
    else
        q->previous[after] = before;
}

/* A node is in the queue of idle leaves, and its near part in that of idle near parts, exactly when
 * the conditions here hold. */
static void update_queues(struct prefix_tree *tree, int id)
{
    struct prefix_node *node = &tree->nodes[id];
    bool idle = node->holders == 0 && node->first_child == NO_NODE;
    if (idle && !node->listed) queue_append(&tree->idle, id);
    if (!idle && node->listed) queue_remove(&tree->idle, id);
    node->listed = idle;
    bool near_idle = node->near_holders == 0 && tree->cache->near_of[id] >= 0;
    if (near_idle && !node->near_listed) queue_append(&tree->near_idle, id);
    if (!near_idle && node->near_listed) queue_remove(&tree->near_idle, id);
    node->near_listed = near_idle;
}

/* ---- the tree ---- */

size_t prefix_tree_bytes(int n_blocks)
{
    return (size_t)n_blocks * (sizeof(struct prefix_node) + 5 * sizeof(int));
}

static bool make_queue(struct node_queue *q, size_t n)
{
    *q = (struct node_queue){NO_NODE, NO_NODE, calloc(n, sizeof(int)), calloc(n, sizeof(int))};
    return q->previous && q->next;
}

status_code prefix_tree_init(struct prefix_tree *tree, struct kv_cache *cache, struct status *st)
{
    size_t n = (size_t)cache->sizes.n_blocks;
    *tree = (struct prefix_tree){
        .cache = cache,
        .nodes = calloc(n, sizeof *tree->nodes),
        .first_child = NO_NODE,
        .free_nodes = calloc(n, sizeof *tree->free_nodes),
        .n_free = (int)n,
    };
    bool idle = make_queue(&tree->idle, n), near = make_queue(&tree->near_idle, n);
    if (!tree->nodes || !tree->free_nodes || !idle || !near) {
        prefix_tree_release(tree);
        return status_no_memory(st, "the tree of prefixes");
    }
    for (size_t i = 0; i < n; i++) tree->free_nodes[i] = (int)(n - 1 - i);
    return STATUS_OK;
}

void prefix_tree_release(struct prefix_tree *tree)
{
    free(tree->nodes);
    free(tree->free_nodes);
    free(tree->idle.previous);
    free(tree->idle.next);
    free(tree->near_idle.previous);
    free(tree->near_idle.next);
    *tree = (struct prefix_tree){0};
}

static int *children_of(struct prefix_tree *tree, int parent)
{
    return parent == NO_NODE ? &tree->first_child : &tree->nodes[parent].first_child;
}

static int common_tokens(const struct prefix_node *node, const int32_t *tokens, int n)
{
    int same = 0, most = n < node->n_tokens ? n : node->n_tokens;
    while (same < most && node->tokens[same] == tokens[same]) same++;
    return same;
}

int prefix_tree_find(const struct prefix_tree *tree, int parent, const int32_t *tokens, int n,
                     int *common)
{
    int best = NO_NODE;
    int child = parent == NO_NODE ? tree->first_child : tree->nodes[parent].first_child;
    *common = 0;
    for (; child != NO_NODE; child = tree->nodes[child].next) {
        int same = common_tokens(&tree->nodes[child], tokens, n);
        if (same <= *common) continue;
        *common = same;
        best = child;
    }
    return best;
}

/* Takes a leaf that nobody holds out of the tree. */
static void remove_leaf(struct prefix_tree *tree, int id)
{
    struct prefix_node *node = &tree->nodes[id];
    int *first = children_of(tree, node->parent);
    if (node->previous == NO_NODE)
        *first = node->next;
    else
        tree->nodes[node->previous].next = node->next;
    if (node->next != NO_NODE) tree->nodes[node->next].previous = node->previous;
    if (node->listed) queue_remove(&tree->idle, id);
    if (node->near_listed) queue_remove(&tree->near_idle, id);
    kv_cache_drop_near(tree->cache, id);
    tree->free_nodes[tree->n_free++] = id;
    if (node->parent != NO_NODE) update_queues(tree, node->parent);
}

int prefix_tree_add(struct prefix_tree *tree, int parent, const int32_t *tokens, int n)
{
    if (tree->n_free == 0) {
        BUG_IF(tree->idle.first == NO_NODE);
        remove_leaf(tree, tree->idle.first);
    }
    int id = tree->free_nodes[--tree->n_free];
    int *first = children_of(tree, parent);
    tree->nodes[id] = (struct prefix_node){.n_tokens = n,
                                           .parent = parent,
                                           .first_child = NO_NODE,
                                           .previous = NO_NODE,
                                           .next = *first,
                                           .holders = 1,
                                           .writer = -1};
    memcpy(tree->nodes[id].tokens, tokens, (size_t)n * sizeof *tokens);
    if (*first != NO_NODE) tree->nodes[*first].previous = id;
    *first = id;
    if (parent != NO_NODE) update_queues(tree, parent);
    return id;
}

void prefix_tree_hold(struct prefix_tree *tree, int node)
{
    tree->nodes[node].holders++;
    update_queues(tree, node);
}

void prefix_tree_drop(struct prefix_tree *tree, int id)
{
    struct prefix_node *node = &tree->nodes[id];
    if (--node->holders == 0) {
        node->n_tokens = node->n_ready;
        node->writer = -1;
        if (node->n_ready == 0) {
            remove_leaf(tree, id);
            return;
        }
    }
    update_queues(tree, id);
}

void prefix_tree_hold_near(struct prefix_tree *tree, int node)
{
    tree->nodes[node].near_holders++;
    update_queues(tree, node);
}

void prefix_tree_drop_near(struct prefix_tree *tree, int node)
{
    tree->nodes[node].near_holders--;
    update_queues(tree, node);
}

void prefix_tree_make_near(struct prefix_tree *tree, int node)
{
    if (kv_cache_take_near(tree->cache, node)) return;
    int oldest = tree->near_idle.first;
    BUG_IF(oldest == NO_NODE);
    kv_cache_drop_near(tree->cache, oldest);
    update_queues(tree, oldest);
    BUG_IF(!kv_cache_take_near(tree->cache, node));
}

/* Whoever holds a node holds its parents too, so that a node nobody holds has none below. */
bool prefix_tree_forget(struct prefix_tree *tree, int node)
{
    if (tree->nodes[node].holders > 0) return false;
    while (tree->nodes[node].first_child != NO_NODE) {
        int child = tree->nodes[node].first_child;
        while (tree->nodes[child].first_child != NO_NODE) child = tree->nodes[child].first_child;
        remove_leaf(tree, child);
    }
    remove_leaf(tree, node);
    return true;
}
