/* assay logits: the engine's raw output, for comparison with other implementations. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "benchmarks/cli/cli.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/engine.h"

struct logits_writer {
    FILE *file;
    size_t n_row; /* logits per call */
    int failed;   /* errno of the first write that failed */
};

/* The format is little-endian whatever the machine is. */
static void write_row(void *user, int position, const float *logits)
{
    struct logits_writer *w = user;
    (void)position;
    for (size_t i = 0; i < w->n_row && !w->failed; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                  (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
        if (fwrite(bytes, 1, 4, w->file) != 4) w->failed = errno;
    }
}

static status_code read_ids(const struct json_value *root, struct token_list *ids,
                            struct status *st)
{
    if (json_kind(root) != JSON_ARRAY)
        return status_set(st, STATUS_BAD_INPUT, "expected an array of token ids, found %s",
                          json_kind_name(json_kind(root)));
    status_code code = STATUS_OK;
    for (const struct json_value *v = json_first(root); v && code == STATUS_OK; v = json_next(v)) {
        double id = json_kind(v) == JSON_NUMBER ? json_number(v) : -1;
        if (!(id >= 0 && id < LIMIT_VOCAB) || id != (double)(int32_t)id)
            return status_set(st, STATUS_BAD_INPUT, "element %zu is not a token id", ids->count);
        code = token_list_append(ids, (int32_t)id, st);
    }
    if (code == STATUS_OK && !ids->count)
        code = status_set(st, STATUS_BAD_INPUT, "the array is empty");
    return code;
}

static status_code load_ids(const char *path, struct token_list *ids, struct status *st)
{
    struct json_value *root;
    status_code code = json_parse_file(&root, path, LIMIT_JSON_BYTES, st);
    if (code != STATUS_OK) return code;
    code = read_ids(root, ids, st);
    json_free(root);
    return code == STATUS_OK ? code : status_prefix(st, "%s", path);
}

/* A decoder's logits after each token; an encoder's of its labels. */
static status_code compute(struct session *session, const struct engine *engine,
                           const struct token_list *ids, struct logits_writer *writer,
                           struct status *st)
{
    const struct engine_info *info = engine_get_info(engine);
    if (!info->is_encoder) {
        writer->n_row = (size_t)info->n_vocab;
        return session_eval(session, ids->ids, (int)ids->count, 0, write_row, writer, st);
    }
    writer->n_row = (size_t)info->n_labels;
    float *logits = calloc(writer->n_row, sizeof *logits);
    if (!logits) return status_no_memory(st, "the logits");
    status_code code = session_classify(session, ids->ids, (int)ids->count, logits, st);
    if (code == STATUS_OK) write_row(writer, 0, logits);
    free(logits);
    return code;
}

static status_code write_logits(const struct engine *engine, const struct token_list *ids,
                                const char *path, struct status *st)
{
    struct session *session;
    status_code code = session_create(&session, engine, (int)ids->count, st);
    if (code != STATUS_OK) return code;
    struct logits_writer writer = {fopen(path, "wb"), 0, 0};
    if (!writer.file) {
        session_free(session);
        return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    }
    code = compute(session, engine, ids, &writer, st);
    if (code == STATUS_OK) code = engine_check_files(engine, st);
    if (fclose(writer.file) != 0 && !writer.failed) writer.failed = errno;
    if (code == STATUS_OK && writer.failed)
        code = status_set(st, STATUS_IO, "%s: %s", path, strerror(writer.failed));
    struct stat info; /* half a file of numbers looks like a whole one; a pipe or device stays */
    if (code != STATUS_OK && stat(path, &info) == 0 && S_ISREG(info.st_mode)) remove(path);
    session_free(session);
    return code;
}

int cmd_logits(const struct command *self, int argc, const char **argv)
{
    const char *tokens = NULL, *out = NULL, *type = "f32", *scale = "f32";
    struct engine_options options = {0};
    int64_t threads = 0;
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &options.model_path, "M", "a GGUF file or a Hugging Face folder", 0,
         0},
        {"adapter", OPTION_TEXT, &options.adapter_path, "LORA",
         "a LoRA adapter for it: a PEFT folder or a GGUF file", 0, 0},
        {"tokens", OPTION_TEXT, &tokens, "FILE", "a JSON array of token ids, taken as they are", 0,
         0},
        {"out", OPTION_TEXT, &out, "FILE",
         "where float32 numbers go: [n_tokens][vocab], or [n_labels]", 0, 0},
        {"type", OPTION_TEXT, &type, "f32|auto",
         "compute in f32 throughout, or in the fastest type for the weights (f32)", 0, 0},
        {"embedding-scale", OPTION_TEXT, &scale, "f32|weights",
         "round Gemma's embedding scale to the weights' type, as Hugging Face does", 0, 0},
        {"kernels", OPTION_TEXT, &options.kernels, "NAME", "auto, avx512, avx2, neon or generic", 0,
         0},
        {"threads", OPTION_INT, &threads, "N", "default: one per processor", 1, 1024},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!options.model_path || !tokens || !out)
        return cli_usage_error(self, "--model, --tokens and --out are needed");
    if (!compute_type_find(type, &options.compute))
        return cli_usage_error(self, "--type \"%s\": f32 or auto", type);
    options.round_embedding_scale = strcmp(scale, "weights") == 0;
    if (!options.round_embedding_scale && strcmp(scale, "f32") != 0)
        return cli_usage_error(self, "--embedding-scale \"%s\": f32 or weights", scale);
    options.n_threads = (int)threads;
    options.model_path = cli_model_path(options.model_path);
    struct status st = {0};
    struct engine *engine = NULL;
    struct token_list ids = {0};
    bool good = load_ids(tokens, &ids, &st) == STATUS_OK &&
                engine_open(&engine, &options, &st) == STATUS_OK &&
                write_logits(engine, &ids, out, &st) == STATUS_OK;
    token_list_release(&ids);
    engine_free(engine);
    return good ? EXIT_DONE : cli_fail(&st);
}
