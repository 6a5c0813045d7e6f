#include "engine/inspect/memory_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/inspect/inspect.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/scheduler_plan.h"

#define MIB          ((uint64_t)1 << 20)
#define CONTEXT_STEP 256 /* contexts are proposed in multiples of it */

/* ---- what there is ---- */

/* The number after `key` in a file of "key number" lines; an empty key takes the first number.
 * UINT64_MAX where there is none. */
static uint64_t read_number(const char *path, const char *key)
{
    char line[256];
    uint64_t out = UINT64_MAX, value;
    FILE *file = fopen(path, "r");
    if (!file) return out;
    while (out == UINT64_MAX && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), " %" SCNu64, &value) == 1)
            out = value;
    fclose(file);
    return out;
}

uint64_t memory_available(void)
{
    uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
    uint64_t machine = kib == UINT64_MAX ? kib : kib * 1024;
    /* Pages of files do not count: they give way. */
    uint64_t most = read_number("/sys/fs/cgroup/memory.max", "");
    uint64_t used = read_number("/sys/fs/cgroup/memory.stat", "anon ");
    if (most == UINT64_MAX || used == UINT64_MAX) return machine;
    uint64_t group = most > used ? most - used : 0;
    return group < machine ? group : machine;
}

/* ---- what it takes ---- */

/* Bytes of the cache of one sequence of n positions. */
static uint64_t one_sequence(const struct model_config *config, int n)
{
    struct status ignored = {0};
    struct scheduler_plan plan;
    const struct run_sizes run = {.n_context = n, .n_sequences = 1, .n_threads = 1};
    if (scheduler_plan_make(&plan, config, &run, 0, &ignored) != STATUS_OK) return UINT64_MAX;
    return plan.cache_bytes;
}

/* Longer contexts take more, so the longest that fits is found by halving. */
static int longest_context(const struct model_config *config, int n_context, uint64_t room)
{
    int low = 0, high = n_context / CONTEXT_STEP;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (one_sequence(config, middle * CONTEXT_STEP) <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return low * CONTEXT_STEP;
}

static status_code plan_decoder(struct memory_plan *out, const struct inspection *in,
                                const struct memory_request *request, struct status *st)
{
    struct scheduler_plan plan;
    const struct run_sizes run = {.n_context = in->memory.n_context,
                                  .n_sequences = request->max_sequences > 0 ? request->max_sequences
                                                                            : SCHEDULER_SEQUENCES,
                                  .n_threads = in->memory.n_threads};
    status_code code =
        scheduler_plan_make(&plan, &in->config, &run, (size_t)request->cache_bytes, st);
    if (code != STATUS_OK) return code;
    out->cache = plan.cache_bytes;
    out->other = plan.other_bytes + in->memory.vectors + in->memory.tokenizer +
                 (uint64_t)in->memory.n_threads * sampler_bytes(in->config.n_vocab);
    out->total = out->weights + out->cache + out->other;
    uint64_t fixed = out->weights + out->other;
    uint64_t room = fixed < out->limit ? out->limit - fixed : 0;
    out->one_sequence = one_sequence(&in->config, run.n_context);
    out->longest_context = longest_context(&in->config, run.n_context, room);
    return STATUS_OK;
}

status_code memory_plan_make(struct memory_plan *out, const struct memory_request *request,
                             struct status *st)
{
    struct inspection in;
    const struct inspect_options options = {.path = request->model_path,
                                            .n_context = request->n_context,
                                            .n_threads = request->n_threads};
    *out =
        (struct memory_plan){.limit = request->max_bytes ? request->max_bytes : memory_available(),
                             .context_option = request->context_option};
    struct status problem = {0}; /* opening the model says it better, or finds it first */
    if (inspect_path(&in, &options, &problem) != STATUS_OK) return STATUS_OK;
    status_code code = STATUS_OK;
    if (in.can_run && in.has_config) {
        out->weights = in.memory.weights;
        out->other = in.memory.total - in.memory.weights;
        out->total = in.memory.total;
        if (!in.config.architecture->is_encoder) code = plan_decoder(out, &in, request, st);
    }
    inspection_release(&in);
    return code;
}

status_code memory_plan_check(const struct memory_plan *p, struct status *st)
{
    uint64_t fixed = p->weights + p->other;
    char advice[96];
    if (p->total <= p->limit) return STATUS_OK;
    if (fixed < p->limit && p->one_sequence <= p->limit - fixed)
        snprintf(advice, sizeof advice, "--cache-memory %" PRIu64 " would fit",
                 (p->limit - fixed) / MIB);
    else if (fixed < p->limit && p->longest_context > 0 && p->context_option)
        snprintf(advice, sizeof advice, "a smaller %s would fit", p->context_option);
    else if (fixed < p->limit && p->longest_context > 0)
        snprintf(advice, sizeof advice, "--max-context %d would fit", p->longest_context);
    else
        snprintf(advice, sizeof advice,
                 "no context fits beside it; a smaller --type of assay "
                 "convert would");
    return status_set(st, STATUS_LIMIT,
                      "the model takes up to %" PRIu64 " MiB (weights %" PRIu64
                      ", keys and values %" PRIu64 ", the rest %" PRIu64 ") of %" PRIu64 " MiB: %s",
                      p->total / MIB, p->weights / MIB, p->cache / MIB, p->other / MIB,
                      p->limit / MIB, advice);
}
