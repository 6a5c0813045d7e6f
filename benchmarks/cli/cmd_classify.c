/* assay classify: {"text": "..."} lines to hazard scores, line for line. */
#include <pthread.h>
#include <stdlib.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/guard_json.h"
#include "benchmarks/store_cache.h"
#include "classifiers/classifier.h"
#include "classifiers/guard_definition.h"
#include "engine/base/http.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

struct classify_job {
    const struct classifier *classifier;
    const struct guard_definition *guard; /* not NULL: what it would ask, instead of scores */
    const struct pipeline *pipeline;      /* not NULL: a policy's verdict instead */
    enum guard_stage stage;
    bool explain;
    struct strbuf line, out; /* one thread's */
};

/* Threads that take lines in turn and answer them in that order: one, but several where a service
 * is asked.  Under `reading` lines are taken and numbered; under `writing` they are answered. */
struct classify_crew {
    struct classify_job job; /* each thread has a copy of its own */
    pthread_mutex_t reading, writing;
    pthread_cond_t written;
    struct cli_input input; /* under `reading` */
    size_t n_read, n_written;
    bool is_crowd;        /* others may be answering while one waits for the next line */
    bool ended;           /* under `reading`: no more lines, or one could not be read */
    struct status status; /* under `writing`: the first failure in the order of lines */
};

static void append_scores(struct strbuf *out, const struct hazard_scores *scores, bool logits)
{
    int n = 0;
    strbuf_appendf(out, "\"%s\": {", logits ? "logits" : "scores");
    for (int c = 0; c < HAZARD_COUNT; c++) {
        if (!scores->of[c].scored) continue;
        strbuf_appendf(out, "%s\"%s\": ", n++ ? ", " : "",
                       hazard_get((enum hazard_category)c)->name);
        json_append_number(out, logits ? scores->of[c].logit : scores->of[c].probability);
    }
    strbuf_append_str(out, "}");
}

struct span_job {
    struct strbuf *out;
    struct text text;
    enum hazard_category category;
    int n;
};

static void append_span(void *user, const struct hazard_span *span)
{
    struct span_job *job = user;
    if (span->category != job->category) return;
    size_t start = (size_t)(span->text.data - job->text.data);
    strbuf_appendf(job->out, "%s{\"start\": %zu, \"end\": %zu, \"text\": ", job->n++ ? ", " : "",
                   start, start + span->text.length);
    json_append_text(job->out, span->text);
    strbuf_append_str(job->out, ", \"weight\": ");
    json_append_number(job->out, span->weight);
    strbuf_append_str(job->out, "}");
}

static status_code append_spans(struct classify_job *job, struct text prompt, struct text text,
                                struct status *st)
{
    hazard_set categories = classifier_categories(job->classifier);
    status_code code = STATUS_OK;
    int n = 0;
    strbuf_append_str(&job->out, ", \"spans\": {");
    for (int c = 0; c < HAZARD_COUNT && code == STATUS_OK; c++) {
        struct span_job spans = {&job->out, text, (enum hazard_category)c, 0};
        if (!(categories & HAZARD_BIT(c))) continue;
        strbuf_appendf(&job->out, "%s\"%s\": [", n++ ? ", " : "", hazard_get(spans.category)->name);
        code = classifier_explain(job->classifier, prompt, text, append_span, &spans, st);
        strbuf_append_str(&job->out, "]");
    }
    strbuf_append_str(&job->out, "}");
    return code;
}

static status_code append_question(struct classify_job *job, const struct guard_template *parts,
                                   const struct guard_texts *texts, const char *category,
                                   struct status *st)
{
    struct strbuf asked;
    strbuf_init(&asked, LIMIT_JSON_BYTES);
    guard_definition_render(parts, texts, "{bos}", &asked);
    status_code code = strbuf_check(&asked, "what a guard asks", st);
    strbuf_appendf(&job->out, "{\"category\": \"%s\", \"text\": ", category);
    json_append_text(&job->out, (struct text){asked.data, asked.length});
    strbuf_append_str(&job->out, "}");
    strbuf_release(&asked);
    return code;
}

/* What a guard model would be asked about a text, control tokens by their spelling. */
static status_code show_guard(struct classify_job *job, struct text prompt, struct text text,
                              struct status *st)
{
    const struct guard_definition *d = job->guard;
    bool is_reply = prompt.length > 0;
    const struct guard_template *parts = is_reply ? &d->response : &d->prompt;
    struct guard_texts texts = {.prompt = is_reply ? prompt : text, .response = text};
    status_code code = STATUS_OK;
    strbuf_appendf(&job->out, "{\"guard\": \"%s\", \"asks\": [", d->name);
    for (int i = 0; i < d->n_policies && code == STATUS_OK; i++) {
        const struct guard_policy_text *policy = &d->policies[i];
        if (i) strbuf_append_str(&job->out, ", ");
        texts.policy = is_reply ? policy->response : policy->prompt;
        code = append_question(job, parts, &texts, hazard_get(policy->category)->name, st);
    }
    if (d->n_answers) code = append_question(job, parts, &texts, "unsafe", st);
    strbuf_append_str(&job->out, "]}\n");
    return code == STATUS_OK ? strbuf_check(&job->out, "what a guard asks", st) : code;
}

static status_code classify_text(struct classify_job *job, const struct json_value *root,
                                 struct status *st)
{
    struct text text, prompt = {"", 0};
    struct hazard_scores scores;
    status_code code = json_get_text(root, "text", &text, st);
    if (code == STATUS_OK && json_has(root, "prompt"))
        code = json_get_text(root, "prompt", &prompt, st);
    if (code == STATUS_OK && job->guard) return show_guard(job, prompt, text, st);
    if (code == STATUS_OK && job->pipeline)
        return guard_json_append_verdict(&job->out, job->pipeline, job->stage, prompt, text, st);
    if (code == STATUS_OK) code = classifier_score(job->classifier, prompt, text, &scores, st);
    if (code != STATUS_OK) return code;
    strbuf_append_str(&job->out, "{");
    append_scores(&job->out, &scores, false);
    strbuf_append_str(&job->out, ", ");
    append_scores(&job->out, &scores, true);
    if (job->explain) code = append_spans(job, prompt, text, st);
    strbuf_append_str(&job->out, ", \"classifier\": {\"id\": ");
    json_append_str(&job->out, classifier_id(job->classifier));
    strbuf_appendf(&job->out, ", \"sha256\": \"%s\"}}\n", classifier_sha256(job->classifier));
    if (code == STATUS_OK) code = strbuf_check(&job->out, "the scores of a text", st);
    return code;
}

/* A text that cannot be scored is a line of its own, so that lines in and out stay in step. */
static void classify_line(struct classify_job *job)
{
    struct json_value *root;
    struct status failure = {0};
    strbuf_clear(&job->out);
    struct text line = {job->line.data, job->line.length};
    status_code code = json_parse(&root, line, &failure);
    if (code == STATUS_OK) {
        code = classify_text(job, root, &failure);
        json_free(root);
    }
    if (code == STATUS_OK) return;
    strbuf_clear(&job->out);
    strbuf_append_str(&job->out, "{\"error\": ");
    json_append_str(&job->out, failure.message);
    strbuf_append_str(&job->out, "}\n");
}

/* The next line and its number, from 0; false when there is none for this thread. */
static bool take_line(struct classify_crew *crew, struct classify_job *job, size_t *number,
                      struct status *st)
{
    bool more = false;
    pthread_mutex_lock(&crew->reading);
    *number = crew->n_read;
    if (!crew->ended && cli_read_line(&crew->input, &job->line, &more, st) != STATUS_OK)
        status_prefix(st, "standard input line %zu", *number + 1);
    crew->ended = !more;
    bool taken = more || st->code != STATUS_OK;
    crew->n_read += taken;
    pthread_mutex_unlock(&crew->reading);
    return taken;
}

static void give_answer(struct classify_crew *crew, const struct classify_job *job, size_t number,
                        const struct status *failure)
{
    struct status *st = &crew->status;
    pthread_mutex_lock(&crew->writing);
    while (crew->n_written != number) pthread_cond_wait(&crew->written, &crew->writing);
    if (st->code == STATUS_OK) *st = *failure;
    if (st->code == STATUS_OK)
        st->code = cli_write_line(NULL, (struct text){job->out.data, job->out.length}, st);
    if (st->code == STATUS_OK && crew->is_crowd) st->code = cli_flush(st);
    crew->n_written++;
    pthread_cond_broadcast(&crew->written);
    pthread_mutex_unlock(&crew->writing);
}

static void *classify_lines(void *user)
{
    struct classify_crew *crew = user;
    struct classify_job job = crew->job;
    struct status failure = {0};
    size_t number;
    strbuf_init(&job.line, LIMIT_LINE_BYTES);
    strbuf_init(&job.out, LIMIT_JSON_BYTES);
    while (failure.code == STATUS_OK && take_line(crew, &job, &number, &failure)) {
        if (failure.code == STATUS_OK) classify_line(&job);
        give_answer(crew, &job, number, &failure);
    }
    strbuf_release(&job.line);
    strbuf_release(&job.out);
    return NULL;
}

/* The caller works too, so that lines are answered even where no thread can be had. */
static status_code classify_all(const struct classify_job *job, struct status *st)
{
    struct classify_crew crew = {.job = *job};
    pthread_t threads[HTTP_MAX_PARALLEL];
    int wanted = job->classifier ? classifier_parallel(job->classifier) - 1 : 0, n = 0;
    pthread_mutex_init(&crew.reading, NULL);
    pthread_mutex_init(&crew.writing, NULL);
    pthread_cond_init(&crew.written, NULL);
    crew.is_crowd = wanted > 0;
    while (n < wanted && n < HTTP_MAX_PARALLEL &&
           pthread_create(&threads[n], NULL, classify_lines, &crew) == 0)
        n++;
    classify_lines(&crew);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&crew.reading);
    pthread_mutex_destroy(&crew.writing);
    pthread_cond_destroy(&crew.written);
    *st = crew.status;
    return st->code;
}

/* What the command was asked for. */
struct classify_order {
    const char *classifier, *endpoint, *store, *guard, *policy, *stage;
};

static status_code classify(const struct classify_order *order, struct classify_job *job,
                            struct status *st)
{
    struct classifier *classifier = NULL;
    struct store *store = NULL;
    struct guard_definition *guard = NULL;
    struct policy *policy = NULL;
    struct pipeline *pipeline = NULL;
    struct score_cache cache = store_cache(&store);
    status_code code = order->store ? store_open(&store, order->store, STORE_WRITE, st) : STATUS_OK;
    if (code == STATUS_OK && order->guard)
        code = guard_definition_load(&guard, order->guard, st);
    else if (code == STATUS_OK && order->policy)
        code = cli_pipeline_open(&pipeline, &policy, order->policy, job->stage, GUARD_ENFORCE,
                                 &cache, st);
    else if (code == STATUS_OK)
        code = cli_classifier_open(&classifier, order->classifier ? order->classifier : "builtin",
                                   order->endpoint, &cache, st);
    job->classifier = classifier;
    job->guard = guard;
    job->pipeline = pipeline;
    if (code == STATUS_OK) code = classify_all(job, st);
    if (code == STATUS_OK) code = cli_flush(st);
    classifier_free(classifier);
    guard_definition_free(guard);
    pipeline_free(pipeline);
    policy_free(policy);
    store_free(store);
    return code;
}

int cmd_classify(const struct command *self, int argc, const char **argv)
{
    struct classify_order order = {0};
    struct classify_job job = {.stage = GUARD_INPUT};
    const struct option_row rows[] = {
        {"classifier", OPTION_TEXT, &order.classifier, "C",
         "which classifier (builtin); `assay list classifiers` names the kinds", 0, 0},
        {"explain", OPTION_FLAG, &job.explain, NULL,
         "what each stretch of the text, in bytes, adds to the logits", 0, 0},
        {"policy", OPTION_TEXT, &order.policy, "P",
         "a policy instead: its verdict, why, and what would be shown of the text", 0, 0},
        {"stage", OPTION_TEXT, &order.stage, "input|output",
         "the policy's stage: texts are prompts, or replies to \"prompt\" (input)", 0, 0},
        {"show-guard", OPTION_TEXT, &order.guard, "NAME",
         "instead of scores: what this guard model would be asked, byte for byte", 0, 0},
        {"endpoint", OPTION_TEXT, &order.endpoint, "URL",
         "where a remote classifier is: perspective, or moderation", 0, 0},
        {"store", OPTION_TEXT, &order.store, "FILE",
         "keep what a remote classifier says, and ask once", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (order.policy && (order.classifier || job.explain))
        return cli_usage_error(self, "--policy names its own classifiers, and explains none");
    if (order.stage && !guard_stage_find(order.stage, &job.stage))
        return cli_usage_error(self, "--stage is input or output");
    struct status st = {0};
    return classify(&order, &job, &st) == STATUS_OK ? EXIT_DONE : cli_fail(&st);
}
