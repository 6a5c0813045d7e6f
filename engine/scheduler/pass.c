#include "engine/scheduler/pass.h"

#include <stdlib.h>
#include <string.h>

#include "engine/model/blocks.h"

/* Logits below which waking other threads takes longer than reading them all alone. */
#define MIN_PARALLEL_LOGITS ((size_t)1 << 16)

size_t pass_bytes(int max_rows, int max_sequences)
{
    return (size_t)max_rows *
           (8 * sizeof(int) + 2 * sizeof(int *) + (size_t)max_sequences * sizeof(struct delivery));
}

status_code pass_init(struct pass *pass, int max_rows, int max_sequences, struct status *st)
{
    size_t n = (size_t)max_rows;
    *pass = (struct pass){
        .max_rows = max_rows,
        .tokens = calloc(n, sizeof *pass->tokens),
        .positions = calloc(n, sizeof *pass->positions),
        .blocks = calloc(n, sizeof *pass->blocks),
        .nodes = calloc(n, sizeof *pass->nodes),
        .owners = calloc(n, sizeof *pass->owners),
        .order = calloc(n, sizeof *pass->order),
        .places = calloc(n, sizeof *pass->places),
        .read_rows = calloc(n, sizeof *pass->read_rows),
        .read_positions = calloc(n, sizeof *pass->read_positions),
        .read_blocks = calloc(n, sizeof *pass->read_blocks),
        .deliveries = calloc(n * (size_t)max_sequences, sizeof *pass->deliveries),
    };
    if (pass->tokens && pass->positions && pass->blocks && pass->nodes && pass->owners &&
        pass->order && pass->places && pass->read_rows && pass->read_positions &&
        pass->read_blocks && pass->deliveries)
        return STATUS_OK;
    pass_release(pass);
    return status_no_memory(st, "a pass");
}

void pass_release(struct pass *pass)
{
    free(pass->tokens);
    free(pass->positions);
    free(pass->blocks);
    free(pass->nodes);
    free(pass->owners);
    free(pass->order);
    free(pass->places);
    free(pass->read_rows);
    free(pass->read_positions);
    free(pass->read_blocks);
    free(pass->deliveries);
    *pass = (struct pass){0};
}

void pass_begin(struct pass *pass)
{
    pass->n = pass->n_deliveries = 0;
    pass->n_new = 0;
}

/* ---- putting rows together ---- */

/* Whether another sequence that runs is going to compute this position of a node, or to copy it.
 * Waiting for it ends: what it waits for itself lies further ahead in its path, or in a node that
 * was there before. */
static bool is_awaited(const struct roster *roster, int self, int node, int writer, int position)
{
    if (writer < 0 || writer == self) return false;
    const struct sequence *other = &roster->slots[writer];
    return other->job && other->n_tokens > position &&
           (other->path[position / KV_BLOCK] == node || sequence_node_at(other, position) == node);
}

/* Makes the copy that the sequence's own node begins with, or sees that it has to wait for it. */
static bool copy_is_made(struct prefix_tree *tree, const struct roster *roster, int slot)
{
    struct sequence *q = &roster->slots[slot];
    if (q->source == NO_NODE) return true;
    const struct prefix_node *source = &tree->nodes[q->source];
    int next = q->source_block * KV_BLOCK + source->n_ready;
    if (source->n_ready < q->n_copied && is_awaited(roster, slot, q->source, source->writer, next))
        return false;
    sequence_copy(q, tree, source->n_ready < q->n_copied ? source->n_ready : q->n_copied);
    return true;
}

static bool has_row(const struct pass *pass, int node, int position)
{
    for (int i = 0; i < pass->n; i++)
        if (pass->nodes[i] == node && pass->positions[i] == position) return true;
    return false;
}

static void add_row(struct pass *pass, struct prefix_tree *tree, const struct sequence *q, int slot,
                    int position)
{
    int i = pass->n++, id = q->path[position / KV_BLOCK], at = position % KV_BLOCK;
    struct prefix_node *node = &tree->nodes[id];
    if (tree->cache->window) prefix_tree_make_near(tree, id);
    if (at >= node->n_ready) pass->n_new++;
    if (at >= node->n_pass) node->n_pass = at + 1;
    pass->tokens[i] = sequence_token(q, tree, position);
    pass->positions[i] = position;
    pass->blocks[i] = q->path;
    pass->nodes[i] = id;
    pass->owners[i] = slot;
}

void pass_add(struct pass *pass, struct prefix_tree *tree, const struct roster *roster, int slot)
{
    struct sequence *q = &roster->slots[slot];
    bool copied = copy_is_made(tree, roster, slot);
    sequence_advance(q, tree);
    int p = q->done;
    for (; p < q->n_tokens; p++) {
        if (!copied && p / KV_BLOCK == q->source_block) break;
        int id = q->path[p / KV_BLOCK], at = p % KV_BLOCK;
        struct prefix_node *node = &tree->nodes[id];
        if (at < node->n_ready) { /* its hidden state is not kept, so logits need it again */
            if (p < q->first_logits || has_row(pass, id, p)) continue;
        } else if (at < node->n_pass) {
            continue;
        } else if (is_awaited(roster, slot, id, node->writer, p)) {
            break;
        }
        if (pass->n == pass->max_rows) break;
        if (at >= node->n_ready) node->writer = slot;
        add_row(pass, tree, q, slot, p);
    }
    q->cursor = p;
}

/* ---- who reads what ---- */

/* Rows by position: what a sequence reads in one pass may have been put there by several, and it
 * reads in the order of its positions. */
static void order_rows(struct pass *pass)
{
    for (int i = 0; i < pass->n; i++) {
        int k = i;
        for (; k > 0 && pass->positions[pass->order[k - 1]] > pass->positions[i]; k--)
            pass->order[k] = pass->order[k - 1];
        pass->order[k] = i;
    }
}

/* Every sequence takes part in the rows of its path, whoever computed them. */
static void list_deliveries(struct pass *pass, const struct roster *roster)
{
    order_rows(pass);
    for (int k = 0; k < pass->n; k++)
        for (int i = 0; i < roster->n_active; i++) {
            struct sequence *q = &roster->slots[roster->active[i]];
            int row = pass->order[k], position = pass->positions[row];
            if (q->expect != position || position >= q->n_tokens ||
                sequence_node_at(q, position) != pass->nodes[row])
                continue;
            pass->deliveries[pass->n_deliveries++] = (struct delivery){row, roster->active[i]};
            q->expect++;
            if (q->done <= position) q->done = position + 1;
        }
}

/* ---- computing ---- */

/* The rows of the deliveries, and where among them each is. */
static struct read_rows choose_read(struct pass *pass)
{
    int n = 0;
    for (int i = 0; i < pass->n; i++) pass->places[i] = -1;
    for (int i = 0; i < pass->n_deliveries; i++) pass->places[pass->deliveries[i].row] = 0;
    for (int i = 0; i < pass->n; i++) {
        if (pass->places[i] < 0) continue;
        pass->read_rows[n] = i;
        pass->read_positions[n] = pass->positions[i];
        pass->read_blocks[n] = pass->blocks[i];
        pass->places[i] = n++;
    }
    return (struct read_rows){n, pass->read_rows, pass->read_positions, pass->read_blocks};
}

void pass_compute(struct pass *pass, struct prefix_tree *tree, const struct roster *roster,
                  const struct model *model, struct run_state *state)
{
    list_deliveries(pass, roster);
    const struct read_rows read = choose_read(pass);
    const struct token_batch batch = {
        .n = pass->n,
        .tokens = pass->tokens,
        .positions = pass->positions,
        .blocks = pass->blocks,
        .cache = tree->cache,
        .read = read.n < pass->n ? &read : NULL,
    };
    run_state_set_positions(state, pass->positions, pass->n);
    model->config.architecture->forward(model, state, &batch);
    for (int i = 0; i < pass->n; i++) {
        struct prefix_node *node = &tree->nodes[pass->nodes[i]];
        if (node->n_ready < node->n_pass) node->n_ready = node->n_pass;
    }
}

/* ---- logits ---- */

/* Hidden states and logits of the rows that deliveries from..end-1 are of, each once. */
struct outputs {
    const float *hidden, *logits; /* (n_rows, d_model), (n_rows, n_vocab) */
    size_t d_model, n_vocab;
};

/* Calls on_hidden and on_logits of one sequence for its part of deliveries from..end-1. */
static void answer(const struct pass *pass, struct sequence *q, int slot, int from, int end,
                   const struct outputs *outputs)
{
    int r = -1, row = -1;
    const struct scheduler_job *job = q->job;
    for (int i = from; i < end && !q->finished; i++) {
        const struct delivery *d = &pass->deliveries[i];
        if (d->row != row) r++;
        row = d->row;
        if (d->sequence != slot) continue;
        if (job->on_hidden)
            job->on_hidden(job->user, pass->positions[row],
                           outputs->hidden + (size_t)r * outputs->d_model);
        q->answer = job->on_logits ? job->on_logits(job->user, pass->positions[row],
                                                    outputs->logits + (size_t)r * outputs->n_vocab)
                                   : SCHEDULER_CONTINUE;
        q->finished = q->answer == SCHEDULER_END;
    }
}

/* The hidden states of the deliveries' rows from `from` on, as many as logits are computed of
 * together, side by side in state->normed.  Returns the delivery after the last. */
static int gather(const struct pass *pass, struct run_state *state, size_t d_model, int from,
                  int *n_rows)
{
    int row = -1, i = from;
    *n_rows = 0;
    for (; i < pass->n_deliveries; i++) {
        if (pass->deliveries[i].row == row) continue;
        if (*n_rows == state->logit_rows) break;
        row = pass->deliveries[i].row;
        memcpy(state->normed + (size_t)(*n_rows)++ * d_model,
               state->x + (size_t)pass->places[row] * d_model, d_model * sizeof(float));
    }
    return i;
}

static bool wants_logits(const struct roster *roster)
{
    for (int i = 0; i < roster->n_active; i++)
        if (roster->slots[roster->active[i]].job->on_logits) return true;
    return false;
}

void pass_deliver(struct pass *pass, const struct roster *roster, const struct model *model,
                  struct run_state *state)
{
    const struct outputs outputs = {state->normed, state->logits, (size_t)model->config.d_model,
                                    (size_t)model->config.n_vocab};
    bool logits = wants_logits(roster);
    for (int from = 0, end; from < pass->n_deliveries; from = end) {
        int n_rows;
        end = gather(pass, state, outputs.d_model, from, &n_rows);
        if (logits) logits_apply(model, state, state->normed, n_rows);
        bool parallel =
            end - from > 1 && (size_t)(end - from) * outputs.n_vocab >= MIN_PARALLEL_LOGITS;
#pragma omp parallel for schedule(dynamic) num_threads(state->n_threads) if (parallel)
        for (int i = 0; i < roster->n_active; i++)
            answer(pass, &roster->slots[roster->active[i]], roster->active[i], from, end, &outputs);
    }
}
