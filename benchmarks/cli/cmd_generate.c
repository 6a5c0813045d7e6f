/* assay generate: one reply to one prompt, through the guard. */
#include <string.h>

#include "benchmarks/chat.h"
#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/guard_json.h"
#include "classifiers/safety_pipeline.h"
#include "engine/backend_native.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/inspect/memory_plan.h"
#include "engine/tokenizer/chat_template.h"

/* What the user asked for. */
struct generate_options {
    struct engine_options engine;
    const char *type;
    const char *prompt, *guard, *guard_mode, *system, *system_as, *template_name;
    bool chat, json;
    int64_t max_tokens, top_k, threads, cache_memory, max_memory;
    double temperature, top_p;
    uint64_t seed;
};

/* What one reply is made of. */
struct generation {
    const struct generate_options *options;
    enum guard_mode mode;
    enum chat_system_as system_as;
    struct engine *engine;
    struct backend *backend;
    struct policy *policy;
    struct pipeline *pipeline;
    struct chat *chat;
    struct token_list tokens;
    struct strbuf shown; /* the prompt as text */
    struct generate_outcome outcome;
};

static status_code render_chat(struct generation *g, const struct tokenizer *tokenizer,
                               struct status *st)
{
    const struct generate_options *o = g->options;
    struct chat_message messages[2];
    int n = 0;
    if (o->system) messages[n++] = (struct chat_message){CHAT_SYSTEM, text_of(o->system)};
    messages[n++] = (struct chat_message){CHAT_USER, text_of(o->prompt)};
    const struct chat_options options = {.template = o->template_name};
    status_code code = chat_open(&g->chat, tokenizer, &options, st);
    if (code != STATUS_OK) return code;
    return chat_template_render(chat_get_info(g->chat)->template, tokenizer, messages, n,
                                g->system_as, &g->tokens, &g->shown, st);
}

static status_code encode_prompt(struct generation *g, struct status *st)
{
    const struct tokenizer *tokenizer = engine_get_tokenizer(g->engine);
    if (!tokenizer)
        return status_set(st, STATUS_NOT_FOUND, "%s: the files hold no tokenizer",
                          engine_get_info(g->engine)->path);
    if (g->options->chat) return render_chat(g, tokenizer, st);
    bool bos = tokenizer_get_info(tokenizer)->add_bos;
    strbuf_append_str(&g->shown, g->options->prompt);
    return tokenizer_encode(tokenizer, text_of(g->options->prompt),
                            bos ? TOKENIZE_ADD_BOS : TOKENIZE_PLAIN, &g->tokens, st);
}

/* No more positions than prompt and reply need: a model's own context can be larger than memory. */
static status_code open_backend(struct generation *g, struct status *st)
{
    int64_t trained = engine_get_info(g->engine)->n_context;
    int64_t wanted = (int64_t)g->tokens.count + g->options->max_tokens;
    struct backend_native_options options = {
        .n_context = (int)(wanted < trained ? wanted : trained),
        .cache_bytes = (size_t)g->options->cache_memory << 20,
        .max_sequences = 1,
    };
    return backend_native_open(&g->backend, g->engine, &options, st);
}

static status_code reply(struct generation *g, struct status *st)
{
    const struct generate_options *o = g->options;
    struct generate_item item = {
        .request =
            {
                .prompt = {g->shown.data, g->shown.length},
                .tokens = g->tokens.ids,
                .n_tokens = g->tokens.count,
                .max_tokens = (int)o->max_tokens,
                .sampling = {o->temperature, (int)o->top_k, o->top_p},
                .seed = o->seed,
            },
        .guard_text = text_of(o->prompt),
    };
    status_code code = pipeline_generate(g->pipeline, g->backend, &item, 1, &g->outcome, st);
    if (code == STATUS_OK && g->outcome.result.status.code != STATUS_OK) {
        *st = g->outcome.result.status;
        code = st->code;
    }
    return code == STATUS_OK ? engine_check_files(g->engine, st) : code;
}

/* The prompt's length is not known before its tokenizer is: the plan has a context of the reply and
 * as much again. */
static status_code check_memory(const struct generate_options *o, struct status *st)
{
    struct memory_plan plan;
    const struct memory_request request = {
        .model_path = o->engine.model_path,
        .n_context = (int)(o->max_tokens <= LIMIT_CONTEXT / 2 ? 2 * o->max_tokens : LIMIT_CONTEXT),
        .n_threads = o->engine.n_threads,
        .max_sequences = 1,
        .cache_bytes = (uint64_t)o->cache_memory << 20,
        .max_bytes = (uint64_t)o->max_memory << 20,
        .context_option = "--max-tokens",
    };
    status_code code = memory_plan_make(&plan, &request, st);
    return code == STATUS_OK ? memory_plan_check(&plan, st) : code;
}

static status_code make_reply(struct generation *g, struct status *st)
{
    status_code code = check_memory(g->options, st);
    if (code == STATUS_OK) code = engine_open(&g->engine, &g->options->engine, st);
    if (code == STATUS_OK) code = encode_prompt(g, st);
    if (code == STATUS_OK) code = strbuf_check(&g->shown, "the prompt", st);
    if (code == STATUS_OK && g->options->guard)
        code = policy_load(&g->policy, g->options->guard, st);
    if (code == STATUS_OK) code = pipeline_create(&g->pipeline, g->policy, g->mode, st);
    if (code == STATUS_OK) code = open_backend(g, st);
    return code == STATUS_OK ? reply(g, st) : code;
}

/* ---- telling ---- */

/* What the guard objected to, on stderr: the reply alone goes to stdout. */
static void note_events(const struct generation *g)
{
    const struct guard_record *record = &g->outcome.record;
    for (int i = 0; i < record->n_events; i++) {
        const struct guard_event *event = &record->events[i];
        const char *text = event->stage == GUARD_INPUT ? "prompt" : "reply";
        const char *how = g->mode == GUARD_SHADOW ? "would have blocked" : "blocked";
        if (!event->blocks) continue;
        if (event->classifier >= 0)
            fprintf(stderr, "assay: the guard %s the %s: %s %.3f, threshold %.3f\n", how, text,
                    hazard_get(event->category)->name, event->probability, event->threshold);
        else
            fprintf(stderr, "assay: the guard %s the %s: %s\n", how, text,
                    event->error[0] ? event->error : guard_verdict_name(event->verdict));
    }
    if (g->outcome.result.n_truncated)
        fprintf(stderr, "assay: warning: the first %d tokens of the prompt did not fit\n",
                g->outcome.result.n_truncated);
}

static void append_json(struct strbuf *out, const struct generation *g)
{
    const struct generate_outcome *outcome = &g->outcome;
    const struct guard_record *record = &outcome->record;
    strbuf_append_str(out, "{\"reply\": ");
    json_append_text(out, outcome->delivered);
    strbuf_append_str(out, ", \"finish_reason\": ");
    if (outcome->ran)
        json_append_str(out, finish_reason_name(outcome->result.finish_reason));
    else
        strbuf_append_str(out, "null");
    strbuf_appendf(out, ", \"blocked_input\": %s, \"blocked_output\": %s",
                   record->blocked_input ? "true" : "false",
                   record->blocked_output ? "true" : "false");
    for (int i = 0; i < record->n_events; i++) {
        strbuf_appendf(out, ", \"guard_%s\": {", guard_stage_name(record->events[i].stage));
        guard_json_append_event(out, g->pipeline, &record->events[i]);
        strbuf_append_char(out, '}');
    }
    strbuf_append_str(out, ", \"prompt\": ");
    json_append_text(out, (struct text){g->shown.data, g->shown.length});
    strbuf_appendf(out, ", \"prompt_tokens\": %zu, \"generated_tokens\": %d", g->tokens.count,
                   outcome->result.n_generated);
    strbuf_append_str(out, ", \"chat_template\": ");
    if (!g->options->chat) {
        strbuf_append_str(out, "null");
    } else {
        const struct chat_info *chat = chat_get_info(g->chat);
        strbuf_appendf(out, "{\"name\": \"%s\", \"sha256\": %s%s%s}", chat->format,
                       chat->sha256 ? "\"" : "null", chat->sha256 ? chat->sha256 : "",
                       chat->sha256 ? "\"" : "");
    }
    strbuf_append_str(out, "}\n");
}

static status_code print_reply(const struct generation *g, struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_JSON_BYTES);
    if (g->options->json) {
        append_json(&out, g);
    } else {
        strbuf_append(&out, g->outcome.delivered.data, g->outcome.delivered.length);
        strbuf_append_char(&out, '\n');
    }
    status_code code = strbuf_check(&out, "the reply", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    strbuf_release(&out);
    return code;
}

static int run_generation(const struct generate_options *options, enum guard_mode mode,
                          enum chat_system_as system_as)
{
    struct status st = {0};
    struct generation g = {.options = options, .mode = mode, .system_as = system_as};
    strbuf_init(&g.shown, LIMIT_PROMPT_BYTES);
    bool good = make_reply(&g, &st) == STATUS_OK;
    if (good) note_events(&g);
    if (good) good = print_reply(&g, &st) == STATUS_OK;
    if (g.backend) outcome_release(&g.outcome);
    backend_free(g.backend);
    pipeline_free(g.pipeline);
    policy_free(g.policy);
    chat_free(g.chat);
    engine_free(g.engine);
    token_list_release(&g.tokens);
    strbuf_release(&g.shown);
    return good ? EXIT_DONE : cli_fail(&st);
}

/* Options that say something about a chat ask for one. */
static const char *check_options(struct generate_options *o, const struct command_line *words,
                                 enum chat_system_as *system_as)
{
    if (!o->engine.model_path) return "--model is missing";
    if (!compute_type_find(o->type, &o->engine.compute)) return "--type: auto or f32";
    if (words->n_positional != 1) return "one PROMPT is needed, in quotes";
    o->prompt = words->positional[0];
    o->chat |= o->system || o->template_name;
    *system_as = CHAT_SYSTEM_ERROR;
    if (o->system_as && !chat_system_as_find(o->system_as, system_as))
        return "--system-as: drop, prepend-user or error";
    return NULL;
}

int cmd_generate(const struct command *self, int argc, const char **argv)
{
    struct generate_options o = {.max_tokens = 256, .top_p = 1, .seed = 1234};
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &o.engine.model_path, "M",
         "GGUF file, Hugging Face folder, cached name, or demo", 0, 0},
        {"adapter", OPTION_TEXT, &o.engine.adapter_path, "LORA",
         "a LoRA adapter for it: a PEFT folder or a GGUF file", 0, 0},
        {"guard", OPTION_TEXT, &o.guard, "POLICY",
         "strict, balanced, audit (these judge toxic words, not intent) or a policy file", 0, 0},
        {"guard-mode", OPTION_TEXT, &o.guard_mode, "MODE",
         "off, shadow (note only) or enforce; default with --guard: enforce", 0, 0},
        {"chat", OPTION_FLAG, &o.chat, NULL, "put the prompt into the model's chat template", 0, 0},
        {"system", OPTION_TEXT, &o.system, "TEXT", "a system message; implies --chat", 0, 0},
        {"system-as", OPTION_TEXT, &o.system_as, "HOW",
         "for formats without one: drop, prepend-user or error (error)", 0, 0},
        {"chat-template", OPTION_TEXT, &o.template_name, "NAME|FILE",
         "in place of the model's own; implies --chat", 0, 0},
        {"max-tokens", OPTION_INT, &o.max_tokens, "N", "longest reply (256)", 1, LIMIT_CONTEXT},
        {"temperature", OPTION_NUMBER, &o.temperature, "X", "0 is greedy (0)", 0, 0},
        {"top-k", OPTION_INT, &o.top_k, "N", "sample among the N likeliest tokens; 0 is off (0)", 0,
         INT32_MAX},
        {"top-p", OPTION_NUMBER, &o.top_p, "X", "sample within this probability mass (1)", 0, 0},
        {"seed", OPTION_SEED, &o.seed, "S", "of the draws (1234)", 0, 0},
        {"threads", OPTION_INT, &o.threads, "N", "default: one per processor", 1, 1024},
        CLI_MEMORY_ROWS(o.cache_memory, o.max_memory),
        {"kernels", OPTION_TEXT, &o.engine.kernels, "NAME",
         "auto, avx512, avx2, neon or generic (auto)", 0, 0},
        {"type", OPTION_TEXT, &o.type, "auto|f32",
         "compute in the fastest type for the weights, or in f32 throughout (auto)", 0, 0},
        {"json", OPTION_FLAG, &o.json, NULL, "the reply with all that is known of it", 0, 0},
    };
    struct command_line words;
    struct status st = {0};
    enum guard_mode mode;
    enum chat_system_as system_as;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    const char *wrong = check_options(&o, &words, &system_as);
    if (wrong) return cli_usage_error(self, "%s", wrong);
    if (cli_settle_guard(&o.guard, o.guard_mode, &mode, &st) != STATUS_OK)
        return cli_usage_error(self, "%s", st.message);
    o.engine.model_path = cli_model_path(o.engine.model_path);
    o.engine.n_threads = (int)o.threads;
    return run_generation(&o, mode, system_as);
}
