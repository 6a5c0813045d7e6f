/* assay speed: prefill and decode rates, beside what the machine can do. */
#include <stdlib.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/speed.h"
#include "benchmarks/speed_record.h"
#include "benchmarks/synthetic_model.h"
#include "engine/base/limits.h"
#include "engine/inspect/memory_plan.h"

/* "512,128" into numbers. */
static status_code read_list(const char *option, const char *words, int max, struct speed_list *out,
                             struct status *st)
{
    out->n = 0;
    for (const char *p = words;; p++) {
        char *end;
        long value = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || value < 1 || value > max ||
            out->n == SPEED_MAX_LIST)
            return status_set(st, STATUS_USAGE,
                              "--%s \"%s\": expected up to %d numbers from 1 to %d with commas "
                              "between",
                              option, words, SPEED_MAX_LIST, max);
        out->values[out->n++] = (int)value;
        if (!*end) return STATUS_OK;
        p = end;
    }
}

/* What the command line says. */
struct speed_request {
    struct engine_options engine;
    int64_t max_memory;                 /* MiB; 0: what the machine has left */
    struct synthetic_options synthetic; /* shape NULL: a model of files */
    char shape[32];
    struct speed_options speed;
    const char *workload, *tokenizer, *data; /* NULL where not given */
    enum workload_kind workload_kind;
    int n_documents;
    const char *store;
    struct strbuf command_line;
    bool json;
};

/* What was measured. */
struct speed_outcome {
    struct speed_result result;
    struct workload_result workload;
    const struct workload_result *ran; /* the one above, or NULL */
};

/* "gemma-2b:q4_k" is a shape and its weights. */
static status_code split_shape(struct speed_request *r, struct status *st)
{
    const char *name = r->synthetic.shape, *colon = name ? strchr(name, ':') : NULL;
    if (!colon) return STATUS_OK;
    size_t n = (size_t)(colon - name);
    if (n >= sizeof r->shape)
        return status_set(st, STATUS_USAGE, "there is no shape \"%.*s\"; there are: %s", 40, name,
                          synthetic_shape_names());
    memcpy(r->shape, name, n);
    r->shape[n] = '\0';
    r->synthetic.shape = r->shape;
    if (!r->synthetic.weights) r->synthetic.weights = colon + 1;
    return STATUS_OK;
}

static status_code report(const struct speed_request *r, const struct speed_subject *subject,
                          const struct speed_outcome *o, struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    (r->json ? speed_append_json : speed_append_text)(&out, subject, &o->result, o->ran);
    status_code code = strbuf_check(&out, "the speed", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    strbuf_release(&out);
    return code;
}

static status_code keep(const struct speed_request *r, const struct engine *engine,
                        const struct speed_subject *subject, const struct speed_outcome *o,
                        struct status *st)
{
    char digest[SHA256_HEX_SIZE];
    struct speed_record record = {.command_line = r->command_line.data,
                                  .repetitions = r->speed.repetitions};
    if (!r->store) return STATUS_OK;
    if (!r->synthetic.shape) {
        status_code code = engine_weights_sha256(engine, digest, st);
        if (code != STATUS_OK) return code;
        record.weights_sha256 = digest;
    }
    return speed_record(r->store, subject, &record, &o->result, o->ran, st);
}

static status_code run_workload(const struct speed_request *r, const struct engine *engine,
                                struct workload_result *out, struct status *st)
{
    const struct engine_info *info = engine_get_info(engine);
    struct tokenizer *own = NULL;
    struct workload *workload;
    struct workload_options options = {.kind = r->workload_kind,
                                       .n_documents = r->n_documents,
                                       .n_vocab = info->n_vocab,
                                       .n_context = info->n_context,
                                       .tokenizer = engine_get_tokenizer(engine),
                                       .lookup = cli_lookup(r->data)};
    status_code code = STATUS_OK;
    if (r->tokenizer) {
        code = tokenizer_load(&own, r->tokenizer, st);
        options.tokenizer = own;
    }
    if (code == STATUS_OK) code = workload_create(&workload, &options, st);
    if (code == STATUS_OK) {
        code = workload_run(workload, engine, out, st);
        workload_free(workload);
    }
    tokenizer_free(own);
    return code;
}

/* A cache for as many tokens as all sequences of a row have together. */
static status_code check_memory(const struct speed_request *r, struct status *st)
{
    const struct speed_options *o = &r->speed;
    int64_t most = 1;
    int sequences = 1;
    struct memory_plan plan;
    for (int i = 0; i < o->prefill.n; i++)
        if (o->prefill.values[i] > most) most = o->prefill.values[i];
    for (int i = 0; i < o->batches.n && o->decode_tokens; i++) {
        if (o->batches.values[i] > sequences) sequences = o->batches.values[i];
        for (int k = 0; k < o->contexts.n; k++) {
            int64_t n = ((int64_t)o->contexts.values[k] + o->decode_tokens) * o->batches.values[i];
            if (n > most) most = n;
        }
    }
    const struct memory_request request = {
        .model_path = r->engine.model_path,
        .n_context = (int)(most < LIMIT_CONTEXT ? most : LIMIT_CONTEXT),
        .n_threads = r->engine.n_threads,
        .max_sequences = sequences,
        .max_bytes = (uint64_t)r->max_memory << 20,
        .context_option = "--batch or --context",
    };
    status_code code = memory_plan_make(&plan, &request, st);
    return code == STATUS_OK ? memory_plan_check(&plan, st) : code;
}

static status_code measure(struct speed_request *r, struct status *st)
{
    struct synthetic_model *made = NULL;
    struct engine *engine = NULL;
    struct speed_outcome o = {.ran = NULL};
    status_code code = STATUS_OK;
    if (r->synthetic.shape) {
        code = synthetic_model_create(&made, &r->synthetic, st);
        if (code != STATUS_OK) return code;
        r->engine.model_path = synthetic_model_path(made);
    }
    char title[512];
    snprintf(title, sizeof title, "%s%s%s",
             made ? synthetic_model_title(made) : r->engine.model_path,
             r->engine.adapter_path ? " with adapter " : "",
             r->engine.adapter_path ? r->engine.adapter_path : "");
    code = check_memory(r, st);
    if (code == STATUS_OK) code = engine_open(&engine, &r->engine, st);
    if (code == STATUS_OK && r->workload) {
        code = run_workload(r, engine, &o.workload, st);
        o.ran = &o.workload;
    }
    if (code == STATUS_OK) code = speed_measure(engine, &r->speed, &o.result, st);
    if (code == STATUS_OK) {
        const struct speed_subject subject = {engine_get_info(engine), title};
        code = report(r, &subject, &o, st);
        if (code == STATUS_OK) code = keep(r, engine, &subject, &o, st);
    }
    engine_free(engine);
    synthetic_model_free(made);
    return code;
}

static status_code read_lists(struct speed_request *r, const char *prompt, const char *batch,
                              const char *context, struct status *st)
{
    status_code code = STATUS_OK;
    if (strcmp(prompt, "0") != 0)
        code = read_list("prompt", prompt, LIMIT_CONTEXT, &r->speed.prefill, st);
    if (code == STATUS_OK) code = read_list("batch", batch, SPEED_MAX_BATCH, &r->speed.batches, st);
    if (code == STATUS_OK)
        code = read_list("context", context, LIMIT_CONTEXT, &r->speed.contexts, st);
    return code == STATUS_OK ? split_shape(r, st) : code;
}

int cmd_speed(const struct command *self, int argc, const char **argv)
{
    const char *prompt = NULL, *batch = "1,32", *context = "128", *type = NULL;
    int64_t decode = -1, repetitions = 5, threads = 0, layers = 0, documents = 20;
    struct speed_request r = {0};
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &r.engine.model_path, "M", "GGUF file, Hugging Face folder, or demo",
         0, 0},
        {"adapter", OPTION_TEXT, &r.engine.adapter_path, "LORA",
         "a LoRA adapter for it: a PEFT folder or a GGUF file", 0, 0},
        {"synthetic", OPTION_TEXT, &r.synthetic.shape, "SHAPE[:TYPE]",
         "made-up weights in memory in place of a model: gemma-2b, gemma-7b, llama2-7b, llama3-8b, "
         "mistral-7b, phi-2, tiny",
         0, 0},
        {"weights", OPTION_TEXT, &r.synthetic.weights, "TYPE",
         "of made-up weights: bf16, f16, f32, q8_0, q6_k, q4_k, q4_0 (bf16)", 0, 0},
        {"layers", OPTION_INT, &layers, "N", "of made-up weights; default: all of the shape", 1,
         LIMIT_LAYERS},
        {"prompt", OPTION_TEXT, &prompt, "N,...",
         "prompt lengths to prefill; 0 is none (512,128; with --workload 0)", 0, 0},
        {"decode", OPTION_INT, &decode, "N",
         "tokens that each sequence makes; 0 is none (16; with --workload 0)", 0, LIMIT_CONTEXT},
        {"batch", OPTION_TEXT, &batch, "N,...", "sequences that decode together (1,32)", 0, 0},
        {"context", OPTION_TEXT, &context, "N,...", "tokens that stand before them (128)", 0, 0},
        {"workload", OPTION_TEXT, &r.workload, "mmlu|rtp",
         "what an evaluation brings: 5-shot MMLU, or 25 replies to each of RealToxicityPrompts", 0,
         0},
        {"documents", OPTION_INT, &documents, "N", "of the workload (20)", 1, 100000},
        {"data", OPTION_TEXT, &r.data, "DIR", "folder of datasets; without them tokens are made up",
         0, 0},
        {"tokenizer", OPTION_TEXT, &r.tokenizer, "PATH",
         "for the workload's texts, where the model has none", 0, 0},
        {"repetitions", OPTION_INT, &repetitions, "N", "of each row; the median is shown (5)", 1,
         SPEED_MAX_REPETITIONS},
        {"threads", OPTION_INT, &threads, "N", "default: one per processor", 1, 1024},
        {"kernels", OPTION_TEXT, &r.engine.kernels, "NAME",
         "auto, avx512, avx2, neon or generic (auto)", 0, 0},
        {"type", OPTION_TEXT, &type, "auto|f32",
         "compute in the fastest type for the weights, or in f32 throughout (auto)", 0, 0},
        {"store", OPTION_TEXT, &r.store, "FILE", "keep the figures there as well", 0, 0},
        {"max-memory", OPTION_INT, &r.max_memory, "MIB",
         "refuse to load a model that may take more; default: what the machine has left", 1,
         INT32_MAX},
        {"json", OPTION_FLAG, &r.json, NULL, "print JSON", 0, 0},
    };
    struct command_line words;
    struct status st = {0};
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!prompt) prompt = r.workload ? "0" : "512,128";
    if (decode < 0) decode = r.workload ? 0 : 16;
    if (!r.engine.model_path == !r.synthetic.shape)
        return cli_usage_error(self, "one of --model and --synthetic is needed");
    if (!compute_type_find(type, &r.engine.compute))
        return cli_usage_error(self, "--type \"%s\": auto or f32", type);
    if (r.workload && !workload_kind_find(r.workload, &r.workload_kind))
        return cli_usage_error(self, "--workload \"%s\": mmlu or rtp", r.workload);
    if (read_lists(&r, prompt, batch, context, &st) != STATUS_OK)
        return cli_usage_error(self, "%s", st.message);
    r.speed.decode_tokens = (int)decode;
    r.speed.repetitions = (int)repetitions;
    r.n_documents = (int)documents;
    r.synthetic.n_layers = (int)layers;
    r.synthetic.n_threads = r.engine.n_threads = (int)threads;
    if (r.engine.model_path) r.engine.model_path = cli_model_path(r.engine.model_path);
    strbuf_init(&r.command_line, LIMIT_LINE_BYTES);
    cli_append_command_line(&r.command_line, argc, argv);
    bool good = measure(&r, &st) == STATUS_OK;
    strbuf_release(&r.command_line);
    return good ? EXIT_DONE : cli_fail(&st);
}
