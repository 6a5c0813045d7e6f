#include "engine/scheduler/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/engine_internal.h"
#include "engine/scheduler/pass.h"
#include "engine/scheduler/scheduler_plan.h"

struct scheduler {
    const struct engine *engine;
    const struct model *model;
    int n_context, max_sequences;
    struct kv_cache cache;
    struct prefix_tree tree;
    struct run_state state;
    struct pass pass;
    struct roster roster;
    int *paths;            /* (max_sequences, blocks of the context + 1) of the sequences */
    int *order;            /* [n_order] jobs in the order in which they are let in */
    int n_order;           /* allocated */
    int quota, near_quota; /* of the sequences that run */
    struct scheduler_counts counts;
};

/* ---- creating ---- */

static status_code create_roster(struct scheduler *s, struct status *st)
{
    size_t n = (size_t)s->max_sequences, length = (size_t)KV_BLOCKS(s->n_context) + 1;
    s->roster.slots = calloc(n, sizeof *s->roster.slots);
    s->roster.active = calloc(n, sizeof *s->roster.active);
    s->paths = calloc(n * length, sizeof *s->paths);
    if (!s->roster.slots || !s->roster.active || !s->paths)
        return status_no_memory(st, "a scheduler");
    for (size_t i = 0; i < n; i++) s->roster.slots[i].path = s->paths + i * length;
    return STATUS_OK;
}

static status_code create_parts(struct scheduler *s, size_t cache_bytes, struct status *st)
{
    const struct model_config *config = &s->model->config;
    const struct run_sizes run = {.n_context = s->n_context,
                                  .n_sequences = s->max_sequences,
                                  .n_threads = engine_get_info(s->engine)->n_threads,
                                  .adapter_rank = s->model->adapter_rank};
    struct scheduler_plan plan;
    status_code code = scheduler_plan_make(&plan, config, &run, cache_bytes, st);
    if (code == STATUS_OK) code = kv_cache_init(&s->cache, config, &plan.cache, st);
    if (code == STATUS_OK) code = prefix_tree_init(&s->tree, &s->cache, st);
    if (code == STATUS_OK) code = run_state_init(&s->state, s->model, &run, st);
    if (code == STATUS_OK) code = pass_init(&s->pass, plan.pass_tokens, s->max_sequences, st);
    return code == STATUS_OK ? create_roster(s, st) : code;
}

status_code scheduler_create(struct scheduler **out, const struct engine *engine,
                             const struct scheduler_options *options, struct status *st)
{
    const struct engine_info *info = engine_get_info(engine);
    int n_context;
    if (info->is_encoder)
        return status_set(st, STATUS_UNSUPPORTED,
                          "%s: an encoder with a classification head has no next token",
                          info->path);
    status_code code = engine_context(engine, options->n_context, &n_context, st);
    if (code != STATUS_OK) return code;
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) return status_no_memory(st, "a scheduler");
    s->engine = engine;
    s->model = engine_model(engine);
    s->n_context = n_context;
    s->max_sequences = options->max_sequences > 0 ? options->max_sequences : SCHEDULER_SEQUENCES;
    if (s->max_sequences > RUN_MAX_TOKENS) s->max_sequences = RUN_MAX_TOKENS;
    code = create_parts(s, options->cache_bytes, st);
    if (code != STATUS_OK) {
        scheduler_free(s);
        return code;
    }
    *out = s;
    return STATUS_OK;
}

void scheduler_free(struct scheduler *s)
{
    if (!s) return;
    pass_release(&s->pass);
    run_state_release(&s->state);
    prefix_tree_release(&s->tree);
    kv_cache_release(&s->cache);
    free(s->roster.slots);
    free(s->roster.active);
    free(s->paths);
    free(s->order);
    free(s);
}

int scheduler_context(const struct scheduler *s)
{
    return s->n_context;
}

struct scheduler_counts scheduler_get_counts(const struct scheduler *s)
{
    return s->counts;
}

/* ---- the order of jobs ---- */

/* Jobs that begin alike stand next to each other; equal ones in the caller's order. */
static int compare_jobs(const struct scheduler_job *jobs, int a, int b)
{
    const struct scheduler_job *x = &jobs[a], *y = &jobs[b];
    int n = x->n_tokens < y->n_tokens ? x->n_tokens : y->n_tokens;
    for (int i = 0; i < n; i++)
        if (x->tokens[i] != y->tokens[i]) return x->tokens[i] < y->tokens[i] ? -1 : 1;
    if (x->n_tokens != y->n_tokens) return x->n_tokens < y->n_tokens ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void sift_down(const struct scheduler_job *jobs, int *order, int from, int n)
{
    for (int child; (child = 2 * from + 1) < n; from = child) {
        if (child + 1 < n && compare_jobs(jobs, order[child], order[child + 1]) < 0) child++;
        if (compare_jobs(jobs, order[from], order[child]) >= 0) return;
        int held = order[from];
        order[from] = order[child];
        order[child] = held;
    }
}

/* A heap sort: qsort() has no place for the jobs that the indices mean. */
static void sort_jobs(const struct scheduler_job *jobs, int *order, int n)
{
    for (int i = n / 2 - 1; i >= 0; i--) sift_down(jobs, order, i, n);
    for (int i = n - 1; i > 0; i--) {
        int held = order[0];
        order[0] = order[i];
        order[i] = held;
        sift_down(jobs, order, 0, i);
    }
}

/* Starts every job's results and lists those that can run. */
static status_code list_jobs(struct scheduler *s, struct scheduler_job *jobs, int n, int *n_listed,
                             struct status *st)
{
    if (n > s->n_order) {
        int *larger = realloc(s->order, (size_t)n * sizeof *larger);
        if (!larger) return status_no_memory(st, "the order of jobs");
        s->order = larger;
        s->n_order = n;
    }
    *n_listed = 0;
    for (int i = 0; i < n; i++) {
        struct status own = {0};
        jobs[i].prefill_seconds = jobs[i].decode_seconds = 0;
        if (engine_check_tokens(s->engine, jobs[i].tokens, jobs[i].n_tokens, s->n_context, &own) ==
                STATUS_OK &&
            jobs[i].n_tokens > 0)
            s->order[(*n_listed)++] = i;
        jobs[i].status = own;
    }
    sort_jobs(jobs, s->order, *n_listed);
    return STATUS_OK;
}

/* ---- letting sequences in and out ---- */

static int free_slot(const struct roster *roster)
{
    int i = 0;
    while (roster->slots[i].job) i++;
    return i;
}

static bool fits(const struct scheduler *s, const struct sequence *q)
{
    const struct kv_sizes *sizes = &s->cache.sizes;
    bool far = s->tree.n_settled + s->quota + q->quota <= sizes->n_blocks;
    return far && (!s->cache.window ||
                   s->tree.n_near_settled + s->near_quota + q->near_quota <= sizes->n_near);
}

static void forget_everything(struct prefix_tree *tree)
{
    while (tree->first_child != NO_NODE) BUG_IF(!prefix_tree_forget(tree, tree->first_child));
}

/* Finds what the tree has of a job; false when it has to wait for others to end. */
static bool match(struct scheduler *s, struct sequence *q, struct scheduler_job *job)
{
    int max_tokens = job->max_tokens > job->n_tokens ? job->max_tokens : job->n_tokens;
    if (max_tokens > s->n_context) max_tokens = s->n_context;
    sequence_match(q, &s->tree, job, max_tokens, s->cache.sizes.pass_tokens);
    if (fits(s, q)) return true;
    sequence_release(q, &s->tree);
    q->job = NULL;
    return false;
}

/* A job that finds no room although nothing runs: what it would share is in its way, or the cache
 * is too small for it. */
static bool match_alone(struct scheduler *s, struct sequence *q, struct scheduler_job *job)
{
    forget_everything(&s->tree);
    if (match(s, q, job)) return true;
    status_set(&job->status, STATUS_LIMIT,
               "a sequence of %d tokens does not fit a cache of %zu bytes; give it more with "
               "--cache-memory",
               job->max_tokens > job->n_tokens ? job->max_tokens : job->n_tokens,
               kv_cache_bytes(&s->model->config, &s->cache.sizes));
    return false;
}

static void let_in(struct scheduler *s, struct scheduler_job *jobs, int *next, int n)
{
    struct roster *roster = &s->roster;
    while (*next < n && roster->n_active < s->max_sequences) {
        int slot = free_slot(roster);
        struct sequence *q = &roster->slots[slot];
        struct scheduler_job *job = &jobs[s->order[*next]];
        bool fit = match(s, q, job);
        if (!fit && roster->n_active) return;
        ++*next;
        if (!fit && !match_alone(s, q, job)) continue;
        sequence_plan(q, &s->tree, slot);
        s->quota += q->quota;
        s->near_quota += q->near_quota;
        roster->active[roster->n_active++] = slot;
    }
}

static void let_out(struct scheduler *s, struct sequence *q)
{
    s->counts.asked += (uint64_t)q->n_tokens;
    s->quota -= q->quota;
    s->near_quota -= q->near_quota;
    sequence_release(q, &s->tree);
    q->job = NULL;
}

/* What the pass changed for one sequence; true when it goes on. */
static bool settle_pass(struct scheduler *s, struct sequence *q, int slot)
{
    int32_t token = q->answer;
    if (q->done < q->cursor) q->done = q->cursor;
    q->answer = SCHEDULER_CONTINUE;
    if (q->finished) return false;
    if (token < 0 || q->done < q->n_tokens) return q->done < q->n_tokens;
    if (q->job->on_token && !q->job->on_token(q->job->user, token)) return false;
    if (q->n_tokens >= q->max_tokens) return false;
    sequence_append(q, &s->tree, token, slot);
    return true;
}

static void settle(struct scheduler *s)
{
    struct roster *roster = &s->roster;
    int n = roster->n_active;
    roster->n_active = 0;
    for (int i = 0; i < n; i++) {
        int slot = roster->active[i];
        if (settle_pass(s, &roster->slots[slot], slot))
            roster->active[roster->n_active++] = slot;
        else
            let_out(s, &roster->slots[slot]);
    }
}

/* ---- passes ---- */

/* Sequences that need one token come first: they are the ones that others' prompts would hold up.
 */
static void fill_pass(struct scheduler *s)
{
    struct roster *roster = &s->roster;
    pass_begin(&s->pass);
    for (int last = 1; last >= 0; last--)
        for (int i = 0; i < roster->n_active; i++) {
            const struct sequence *q = &roster->slots[roster->active[i]];
            if ((q->n_tokens - q->done == 1) == last)
                pass_add(&s->pass, &s->tree, roster, roster->active[i]);
        }
}

static void share_time(struct scheduler *s, double seconds)
{
    double share = s->pass.n ? seconds / s->pass.n : 0;
    for (int i = 0; i < s->pass.n; i++) {
        struct scheduler_job *job = s->roster.slots[s->pass.owners[i]].job;
        if (s->pass.positions[i] < job->n_tokens)
            job->prefill_seconds += share;
        else
            job->decode_seconds += share;
    }
}

static void run_pass(struct scheduler *s)
{
    double start = clock_seconds();
    fill_pass(s);
    if (s->pass.n) {
        pass_compute(&s->pass, &s->tree, &s->roster, s->model, &s->state);
        pass_deliver(&s->pass, &s->roster, s->model, &s->state);
        s->counts.computed += (uint64_t)s->pass.n;
        s->counts.unique += s->pass.n_new;
        s->counts.passes++;
    }
    share_time(s, clock_seconds() - start);
    int before = s->roster.n_active;
    settle(s);
    BUG_IF(s->pass.n == 0 && s->roster.n_active == before); /* everyone would wait for ever */
}

status_code scheduler_run(struct scheduler *s, struct scheduler_job *jobs, int n, struct status *st)
{
    int next = 0, n_listed;
    status_code code = list_jobs(s, jobs, n, &n_listed, st);
    if (code != STATUS_OK) return code;
    while (next < n_listed || s->roster.n_active) {
        let_in(s, jobs, &next, n_listed);
        if (s->roster.n_active) run_pass(s);
    }
    return STATUS_OK;
}
