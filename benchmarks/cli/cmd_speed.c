/* assay speed: prefill and decode rates, beside what the machine can do. */
#include <inttypes.h>
#include <stdlib.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/speed.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

/* "512,128" into lengths. */
static status_code read_lengths(const char *list, int lengths[SPEED_MAX_ROWS], int *n,
                                struct status *st)
{
    *n = 0;
    for (const char *p = list;; p++) {
        char *end;
        long value = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || value < 1 || value > LIMIT_CONTEXT ||
            *n == SPEED_MAX_ROWS - 1)
            return status_set(st, STATUS_USAGE,
                              "--prompt \"%s\": expected up to %d lengths with commas between",
                              list, SPEED_MAX_ROWS - 1);
        lengths[(*n)++] = (int)value;
        if (!*end) return STATUS_OK;
        p = end;
    }
}

static void append_text(const struct engine_info *info, const struct speed_result *r,
                        struct strbuf *out)
{
    strbuf_appendf(out, "model     %s, %s, %s, kernels %s, products in %s, threads %d\n",
                   info->path, info->architecture, info->quantisation, info->kernels, info->compute,
                   info->n_threads);
    strbuf_appendf(out, "machine   %.1f GFLOP/s in f32, %.1f GB/s read\n", r->peak_flops / 1e9,
                   r->read_bandwidth / 1e9);
    strbuf_appendf(out, "memory    %.0f MB resident at most\n\n",
                   (double)r->peak_resident_bytes / 1e6);
    strbuf_appendf(out, "%-8s %7s %8s %12s %22s  %s\n", "what", "tokens", "context", "tokens/s",
                   "slowest to fastest", "of the machine");
    for (int i = 0; i < r->n_rows; i++) {
        const struct speed_row *row = &r->rows[i];
        strbuf_appendf(out, "%-8s %7d %8d %12.1f %10.1f to %8.1f  %.0f%% of %s\n",
                       speed_kind_name(row->kind), row->n_tokens, row->n_context,
                       row->tokens_per_second, row->slowest, row->fastest, 100 * row->fraction,
                       row->kind == SPEED_PREFILL ? "its arithmetic" : "its bandwidth");
    }
}

static void append_rate(struct strbuf *out, const char *name, const struct speed_result *r,
                        enum speed_kind kind)
{
    strbuf_appendf(out, "\"%s\": ", name);
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind == kind) {
            json_append_number(out, r->rows[i].tokens_per_second);
            strbuf_append_str(out, ", ");
            return;
        }
    strbuf_append_str(out, "null, ");
}

static void append_json(const struct engine_info *info, const struct speed_result *r,
                        struct strbuf *out)
{
    strbuf_append_char(out, '{');
    append_rate(out, "prefill_tokens_per_second", r, SPEED_PREFILL);
    append_rate(out, "decode_tokens_per_second", r, SPEED_DECODE);
    strbuf_appendf(out, "\"batch\": 1, \"threads\": %d, \"kernel_set\": \"%s\", ", info->n_threads,
                   info->kernels);
    strbuf_appendf(
        out, "\"peak_resident_bytes\": %" PRId64 ", \"peak_flops\": ", r->peak_resident_bytes);
    json_append_number(out, r->peak_flops);
    strbuf_append_str(out, ", \"read_bandwidth\": ");
    json_append_number(out, r->read_bandwidth);
    strbuf_append_str(out, ", \"model\": ");
    json_append_str(out, info->path);
    strbuf_appendf(out, ", \"quantisation\": \"%s\", \"rows\": [", info->quantisation);
    for (int i = 0; i < r->n_rows; i++) {
        const struct speed_row *row = &r->rows[i];
        strbuf_appendf(out,
                       "%s{\"kind\": \"%s\", \"length\": %d, \"context\": %d, "
                       "\"tokens_per_second\": ",
                       i ? ", " : "", speed_kind_name(row->kind), row->n_tokens, row->n_context);
        json_append_number(out, row->tokens_per_second);
        strbuf_append_str(out, ", \"slowest\": ");
        json_append_number(out, row->slowest);
        strbuf_append_str(out, ", \"fastest\": ");
        json_append_number(out, row->fastest);
        strbuf_append_str(out, ", \"fraction_of_machine\": ");
        json_append_number(out, row->fraction);
        strbuf_append_char(out, '}');
    }
    strbuf_append_str(out, "]}\n");
}

static int measure(const struct engine_options *options, const struct speed_options *speed,
                   bool json)
{
    struct status st = {0};
    struct engine *engine = NULL;
    struct speed_result result;
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    bool good = engine_open(&engine, options, &st) == STATUS_OK &&
                speed_measure(engine, speed, &result, &st) == STATUS_OK;
    if (good) {
        (json ? append_json : append_text)(engine_get_info(engine), &result, &out);
        good =
            strbuf_check(&out, "the speed", &st) == STATUS_OK && cli_write(&out, &st) == STATUS_OK;
    }
    strbuf_release(&out);
    engine_free(engine);
    return good ? EXIT_DONE : cli_fail(&st);
}

int cmd_speed(const struct command *self, int argc, const char **argv)
{
    const char *prompt = "512,128", *type = NULL;
    int64_t decode = 32, context = 128, repetitions = 5, threads = 0;
    struct engine_options options = {0};
    bool json = false;
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &options.model_path, "M", "GGUF file, Hugging Face folder, or demo",
         0, 0},
        {"prompt", OPTION_TEXT, &prompt, "N,...", "prompt lengths to prefill (512,128)", 0, 0},
        {"decode", OPTION_INT, &decode, "N", "tokens to make one by one; 0 is none (32)", 0,
         LIMIT_CONTEXT},
        {"context", OPTION_INT, &context, "N", "tokens that stand before them (128)", 1,
         LIMIT_CONTEXT},
        {"repetitions", OPTION_INT, &repetitions, "N", "of each row; the median is shown (5)", 1,
         SPEED_MAX_REPETITIONS},
        {"threads", OPTION_INT, &threads, "N", "default: one per processor", 1, 1024},
        {"kernels", OPTION_TEXT, &options.kernels, "NAME", "auto, avx512, avx2 or generic (auto)",
         0, 0},
        {"type", OPTION_TEXT, &type, "auto|f32",
         "compute in the fastest type for the weights, or in f32 throughout (auto)", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "print JSON", 0, 0},
    };
    struct command_line words;
    struct status st = {0};
    int code, lengths[SPEED_MAX_ROWS];
    struct speed_options speed = {.prefill = lengths};
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!options.model_path) return cli_usage_error(self, "--model is missing");
    if (!compute_type_find(type, &options.compute))
        return cli_usage_error(self, "--type \"%s\": auto or f32", type);
    if (read_lengths(prompt, lengths, &speed.n_prefill, &st) != STATUS_OK)
        return cli_usage_error(self, "%s", st.message);
    speed.decode_tokens = (int)decode;
    speed.decode_context = (int)context;
    speed.repetitions = (int)repetitions;
    options.model_path = cli_model_path(options.model_path);
    options.n_threads = (int)threads;
    return measure(&options, &speed, json);
}
