#include "benchmarks/speed_workload.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/task_registry.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/sampling/sampler.h"
#include "engine/scheduler/scheduler.h"

#define MMLU_PREFIX      600
#define MMLU_QUESTION    104
#define MMLU_PER_SUBJECT 246 /* 14,042 questions in 57 subjects */
#define MMLU_CHOICES     4
#define RTP_PROMPT       14
#define RTP_REPLIES      25
#define RTP_REPLY_TOKENS 20
#define TEXT_MEMORY      ((size_t)64 << 20)

static const struct workload_row {
    const char *name, *task;
    int num_fewshot, n_choices, n_replies, n_reply_tokens;
} kinds[] = {
    [WORKLOAD_MMLU] = {"mmlu", "mmlu", 5, MMLU_CHOICES, 1, 0},
    [WORKLOAD_RTP] = {"rtp", "realtoxicityprompts", 0, 1, RTP_REPLIES, RTP_REPLY_TOKENS},
};

bool workload_kind_find(const char *name, enum workload_kind *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        *out = (enum workload_kind)i;
        if (strcmp(name, kinds[i].name) == 0) return true;
    }
    return false;
}

const char *workload_kind_name(enum workload_kind kind)
{
    return kinds[kind].name;
}

/* ---- documents ---- */

struct workload {
    const struct workload_row *row;
    struct workload_options options;
    bool is_real;
    struct token_list tokens; /* of all documents, one behind the other */
    size_t *starts;           /* [n_documents + 1] in `tokens` */
    int n_documents;
    int32_t choice_ids[MMLU_CHOICES]; /* what the choices are called; any ids cost the same */
};

static const int32_t *document_tokens(const struct workload *w, int i, int *n)
{
    *n = (int)(w->starts[i + 1] - w->starts[i]);
    return w->tokens.ids + w->starts[i];
}

static status_code make_up(struct workload *w, struct status *st)
{
    bool is_mmlu = w->options.kind == WORKLOAD_MMLU;
    int shared = is_mmlu ? MMLU_PREFIX : 0, own = is_mmlu ? MMLU_QUESTION : RTP_PROMPT;
    while (shared + own + w->row->n_reply_tokens > w->options.n_context && shared > own)
        shared /= 2; /* a model with a short context gets shorter documents */
    struct rng rng;
    status_code code = STATUS_OK;
    for (int i = 0; i < w->options.n_documents && code == STATUS_OK; i++) {
        rng_seed(&rng, (uint64_t)(i / MMLU_PER_SUBJECT));
        for (int k = 0; k < shared + own && code == STATUS_OK; k++) {
            if (k == shared) rng_seed(&rng, 1000000 + (uint64_t)i);
            int32_t id = (int32_t)(rng_next(&rng) % (uint64_t)w->options.n_vocab);
            code = token_list_append(&w->tokens, id, st);
        }
        w->starts[++w->n_documents] = w->tokens.count;
    }
    return code;
}

/* One document of a task; those that do not fit the model are passed over. */
static status_code add_document(struct workload *w, const struct task_instance *instance,
                                int64_t doc_id, struct arena *arena, struct status *st)
{
    const struct tokenizer *tokenizer = w->options.tokenizer;
    struct task_request request;
    arena_reset(arena);
    status_code code = task_instance_render(instance, doc_id, arena, &request, st);
    if (code != STATUS_OK) return code;
    bool bos = tokenizer_get_info(tokenizer)->add_bos;
    size_t before = w->tokens.count;
    code = tokenizer_encode(tokenizer, request.context, bos ? TOKENIZE_ADD_BOS : TOKENIZE_PLAIN,
                            &w->tokens, st);
    if (code != STATUS_OK) return code;
    size_t n = w->tokens.count - before;
    bool fits = n && n + (size_t)w->row->n_reply_tokens <= (size_t)w->options.n_context;
    for (size_t i = before; fits && i < w->tokens.count; i++)
        fits = w->tokens.ids[i] < w->options.n_vocab;
    if (fits)
        w->starts[++w->n_documents] = w->tokens.count;
    else
        w->tokens.count = before;
    return STATUS_OK;
}

static status_code add_documents(struct workload *w, const struct task_selection *selection,
                                 struct status *st)
{
    const struct task_options options = {.num_fewshot = w->row->num_fewshot,
                                         .lookup = w->options.lookup};
    struct arena arena;
    status_code code = STATUS_OK;
    arena_init(&arena, TEXT_MEMORY);
    for (int i = 0; i < selection->count && w->n_documents < w->options.n_documents; i++) {
        struct task_instance *instance;
        code = task_instance_load(&instance, &selection->refs[i], &options, st);
        if (code != STATUS_OK) break;
        const struct task_info *info = task_instance_info(instance);
        w->is_real = info->origin != DATASET_DEMO;
        for (int64_t doc = 0; doc < info->n_documents && code == STATUS_OK && w->is_real &&
                              w->n_documents < w->options.n_documents;
             doc++)
            code = add_document(w, instance, doc, &arena, st);
        task_instance_free(instance);
        if (code != STATUS_OK || !w->is_real) break;
    }
    arena_release(&arena);
    return code;
}

/* Real documents where there are any. */
static void collect(struct workload *w)
{
    struct task_selection selection = {0};
    struct status ignored = {0};
    if (w->options.tokenizer &&
        task_registry_select(&selection, w->row->task, NULL, &w->options.lookup, &ignored) ==
            STATUS_OK &&
        add_documents(w, &selection, &ignored) == STATUS_OK)
        w->is_real = w->is_real && w->n_documents > 0;
    else
        w->is_real = false;
    task_selection_release(&selection);
}

status_code workload_create(struct workload **out, const struct workload_options *options,
                            struct status *st)
{
    struct workload *w = calloc(1, sizeof *w);
    if (!w) return status_no_memory(st, "a workload");
    w->row = &kinds[options->kind];
    w->options = *options;
    w->starts = calloc((size_t)options->n_documents + 1, sizeof *w->starts);
    status_code code = w->starts ? STATUS_OK : status_no_memory(st, "a workload");
    if (code == STATUS_OK) collect(w);
    if (code == STATUS_OK && !w->is_real) {
        w->tokens.count = 0;
        w->n_documents = 0;
        code = make_up(w, st);
    }
    for (int i = 0; i < MMLU_CHOICES; i++) w->choice_ids[i] = i % options->n_vocab;
    if (code == STATUS_OK)
        *out = w;
    else
        workload_free(w);
    return code;
}

void workload_free(struct workload *w)
{
    if (!w) return;
    token_list_release(&w->tokens);
    free(w->starts);
    free(w);
}

/* ---- requests ---- */

struct request {
    const struct batch *batch;
    struct rng rng;
    double logprobs[MMLU_CHOICES];
    int32_t reply[RTP_REPLY_TOKENS];
    int n_reply;
};

struct batch {
    const struct workload *workload;
    struct scheduler_job *jobs; /* [n] */
    struct request *requests;   /* [n] */
    struct sampler **samplers;  /* [n_threads] */
    int n, n_threads;
};

static int32_t score_choices(void *user, int position, const float *logits)
{
    struct request *r = user;
    const struct workload *w = r->batch->workload;
    (void)position;
    struct logits_summary summary = logits_summarize(logits, w->options.n_vocab);
    for (int i = 0; i < MMLU_CHOICES; i++)
        r->logprobs[i] = logits_logprob(&summary, logits, w->choice_ids[i]);
    return SCHEDULER_END;
}

/* As the paper samples: the nucleus of 0.9 at temperature 1.  Nothing ends a reply early. */
static int32_t sample_reply(void *user, int position, const float *logits)
{
    static const struct sampling_options options = {.temperature = 1, .top_p = 0.9};
    struct request *r = user;
    (void)position;
    struct sampler *sampler = r->batch->samplers[omp_get_thread_num() % r->batch->n_threads];
    int32_t token = sampler_next(sampler, &options, logits, &r->rng);
    r->reply[r->n_reply++] = token;
    return r->n_reply < RTP_REPLY_TOKENS ? token : SCHEDULER_END;
}

static void batch_release(struct batch *b)
{
    for (int i = 0; b->samplers && i < b->n_threads; i++) sampler_free(b->samplers[i]);
    free(b->samplers);
    free(b->jobs);
    free(b->requests);
}

static status_code batch_init(struct batch *b, const struct workload *w, int n_threads,
                              struct status *st)
{
    *b = (struct batch){
        .workload = w, .n = w->n_documents * w->row->n_replies, .n_threads = n_threads};
    b->jobs = calloc((size_t)b->n, sizeof *b->jobs);
    b->requests = calloc((size_t)b->n, sizeof *b->requests);
    b->samplers = calloc((size_t)n_threads, sizeof *b->samplers);
    if (!b->jobs || !b->requests || !b->samplers) return status_no_memory(st, "a workload");
    for (int i = 0; i < n_threads && w->row->n_reply_tokens; i++) {
        status_code code = sampler_create(&b->samplers[i], w->options.n_vocab, st);
        if (code != STATUS_OK) return code;
    }
    for (int i = 0; i < b->n; i++) {
        int n;
        const int32_t *tokens = document_tokens(w, i / w->row->n_replies, &n);
        b->requests[i].batch = b;
        rng_seed(&b->requests[i].rng, (uint64_t)i);
        b->jobs[i] = (struct scheduler_job){.tokens = tokens,
                                            .n_tokens = n,
                                            .first_logits = n - 1,
                                            .max_tokens = n + w->row->n_reply_tokens,
                                            .on_logits = w->row->n_reply_tokens ? sample_reply
                                                                                : score_choices,
                                            .user = &b->requests[i]};
    }
    return STATUS_OK;
}

/* ---- what has to be computed ---- */

static int32_t token_at(const struct scheduler_job *job, int i)
{
    const struct request *r = job->user;
    return i < job->n_tokens ? job->tokens[i] : r->reply[i - job->n_tokens];
}

/* The last token of a reply is chosen and never computed. */
static int sequence_length(const struct scheduler_job *job)
{
    const struct request *r = job->user;
    return job->n_tokens + (r->n_reply ? r->n_reply - 1 : 0);
}

static int common_length(const struct scheduler_job *a, const struct scheduler_job *b)
{
    int n = 0, limit = sequence_length(a);
    if (sequence_length(b) < limit) limit = sequence_length(b);
    while (n < limit && token_at(a, n) == token_at(b, n)) n++;
    return n;
}

static int compare_sequences(const void *left, const void *right)
{
    const struct scheduler_job *const *a = left, *const *b = right;
    int n = common_length(*a, *b);
    int na = sequence_length(*a), nb = sequence_length(*b);
    if (n == na || n == nb) return (na > nb) - (na < nb);
    return token_at(*a, n) < token_at(*b, n) ? -1 : 1;
}

/* Nodes of the prefix tree of all sequences: in sorted order, each adds what it does not share with
 * the one before. */
static status_code count_tokens(const struct batch *b, struct workload_result *out,
                                struct status *st)
{
    const struct scheduler_job **sorted = calloc((size_t)b->n, sizeof *sorted);
    if (!sorted) return status_no_memory(st, "a workload");
    for (int i = 0; i < b->n; i++) sorted[i] = &b->jobs[i];
    qsort(sorted, (size_t)b->n, sizeof *sorted, compare_sequences);
    for (int i = 0; i < b->n; i++) {
        int n = sequence_length(sorted[i]);
        out->asked += (uint64_t)n * (uint64_t)b->workload->row->n_choices;
        out->unique += (uint64_t)(n - (i ? common_length(sorted[i - 1], sorted[i]) : 0));
    }
    free(sorted);
    return STATUS_OK;
}

/* ---- running ---- */

static status_code run_together(struct batch *b, const struct engine *engine,
                                struct workload_result *out, struct status *st)
{
    struct scheduler *scheduler;
    const struct scheduler_options options = {.n_context = b->workload->options.n_context};
    status_code code = scheduler_create(&scheduler, engine, &options, st);
    if (code != STATUS_OK) return code;
    double start = clock_seconds();
    code = scheduler_run(scheduler, b->jobs, b->n, st);
    out->seconds = clock_seconds() - start;
    out->computed = scheduler_get_counts(scheduler).computed;
    scheduler_free(scheduler);
    for (int i = 0; i < b->n && code == STATUS_OK; i++)
        if (b->jobs[i].status.code != STATUS_OK)
            code = status_set(st, b->jobs[i].status.code, "%s", b->jobs[i].status.message);
    return code;
}

static void take_logits(void *user, int position, const float *logits)
{
    const struct scheduler_job *job = user;
    job->on_logits(job->user, position, logits);
}

/* One request from its first token, its reply token by token: *seconds of it. */
static status_code run_alone(const struct batch *b, const struct engine *engine, double *seconds,
                             struct status *st)
{
    struct scheduler_job job = b->jobs[0];
    struct request again = {.batch = b};
    struct session *session;
    int n_reply = b->workload->row->n_reply_tokens, n = job.n_tokens;
    int n_steps = n_reply ? n_reply : 1;
    int32_t *tokens = calloc((size_t)(n + n_steps), sizeof *tokens);
    if (!tokens) return status_no_memory(st, "a workload");
    memcpy(tokens, job.tokens, (size_t)n * sizeof *tokens);
    job.user = &again;
    rng_seed(&again.rng, 0);
    status_code code = session_create(&session, engine, n + n_steps, st);
    if (code == STATUS_OK) {
        double start = clock_seconds();
        for (int i = 0; i < n_steps && code == STATUS_OK; i++) {
            code = session_eval(session, tokens, n + i, n + i - 1, take_logits, &job, st);
            if (n_reply) tokens[n + i] = again.reply[i];
        }
        *seconds = clock_seconds() - start;
        session_free(session);
    }
    free(tokens);
    return code;
}

status_code workload_run(const struct workload *w, const struct engine *engine,
                         struct workload_result *out, struct status *st)
{
    struct batch batch;
    double alone = 1;
    *out = (struct workload_result){
        .kind = w->options.kind, .is_real = w->is_real, .n_documents = w->n_documents};
    int n_requests = w->row->n_choices * w->row->n_replies; /* of a document */
    out->n_requests = w->n_documents * n_requests;
    status_code code = batch_init(&batch, w, engine_get_info(engine)->n_threads, st);
    if (code == STATUS_OK) code = run_together(&batch, engine, out, st);
    if (code == STATUS_OK) code = count_tokens(&batch, out, st);
    if (code == STATUS_OK) code = run_alone(&batch, engine, &alone, st);
    if (code == STATUS_OK) {
        out->documents_per_second = w->n_documents / out->seconds;
        out->one_by_one = 1 / (alone * n_requests);
    }
    batch_release(&batch);
    return code;
}
