#include "engine/inspect/inspect.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/gguf/gguf.h"
#include "engine/model/architecture.h"
#include "engine/model/model_path.h"
#include "engine/model/packed_weights.h"
#include "engine/model/run_state.h"
#include "engine/scheduler/scheduler_plan.h"
#include "engine/safetensors/safetensors.h"
#include "engine/tokenizer/chat_template.h"

#define MAX_PATH_BYTES 4096

/* The first reason counts: later ones follow from it. */
static void set_problem(struct inspection *in, const char *prefix, const char *reason)
{
    char line[sizeof((struct status *)0)->message + 64];
    if (in->problem) return;
    snprintf(line, sizeof line, "%s%s", prefix, reason);
    in->problem = arena_strdup(&in->arena, line);
}

static bool is_there(const char *directory, const char *name, char path[MAX_PATH_BYTES])
{
    struct stat info;
    int n = snprintf(path, MAX_PATH_BYTES, "%s/%s", directory, name);
    return n > 0 && n < MAX_PATH_BYTES && stat(path, &info) == 0;
}

/* ---- tensors ---- */

static bool has_word(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strstr(name, *words)) return true;
    return false;
}

/* By its name, since unknown families are described too. */
static const char *kind_of(const struct tensor_view *view)
{
    static const char *const embedding[] = {"embed", "embd", "token_types", NULL};
    static const char *const output[] = {"lm_head", "classifier", "score.", NULL};
    static const char *const attention[] = {"attn", "attention", NULL};
    static const char *const feed_forward[] = {"mlp", "ffn", "intermediate", "lin1", "lin2", NULL};
    if (view->n_dims == 1) return "vector";
    if (has_word(view->name, embedding)) return "embedding";
    if (has_word(view->name, output) || strcmp(view->name, "output.weight") == 0) return "output";
    if (has_word(view->name, attention)) return "attention";
    return has_word(view->name, feed_forward) ? "feed-forward" : "other";
}

static void add_to_row(struct inspection *in, const char *kind, const struct tensor_view *view,
                       uint64_t n_values)
{
    int r = 0;
    while (r < in->n_rows &&
           (in->rows[r].type != (uint32_t)view->type || strcmp(in->rows[r].kind, kind) != 0))
        r++;
    if (r == INSPECT_MAX_ROWS)
        r--; /* more kinds of types than there are: the last one takes them */
    if (r == in->n_rows)
        in->rows[in->n_rows++] = (struct inspect_row){.kind = kind, .type = view->type};
    in->rows[r].n_tensors++;
    in->rows[r].n_values += n_values;
    in->rows[r].bytes += view->bytes;
}

static void note_unreadable(struct inspection *in, const char *name, const char *type)
{
    char line[LIMIT_TENSOR_NAME + 128];
    if (in->n_unreadable++) return;
    snprintf(line, sizeof line, "tensor \"%s\" has %s", name, type);
    in->first_unreadable = arena_strdup(&in->arena, line);
}

static void add_tensor(struct inspection *in, const struct tensor_view *view)
{
    char type[64];
    uint64_t n_values = 1;
    for (int d = 0; d < view->n_dims; d++) n_values *= view->shape[d];
    const char *kind = kind_of(view);
    add_to_row(in, kind, view, n_values);
    in->n_tensors++;
    in->n_parameters += n_values;
    in->weight_bytes += view->bytes;
    if (strcmp(kind, "vector") == 0) in->memory.vectors += n_values * sizeof(float);
    if (tensor_type_find((uint32_t)view->type)) return;
    snprintf(type, sizeof type, "type %s", tensor_type_any_name((uint32_t)view->type));
    note_unreadable(in, view->name, type);
}

/* ---- can it run, and in how much memory ---- */

static void check_weights(struct inspection *in, const struct tensor_source *source)
{
    struct model model = {.config = in->config};
    struct arena arena;
    struct status st = {0};
    if (in->n_unreadable && source->gguf) {
        set_problem(in, "nothing here reads all of its types: ", in->first_unreadable);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (kernel_set_select(&model.kernels, NULL, &st) != STATUS_OK ||
        model_weights_find(&model.weights, &in->config, source, &arena, &st) != STATUS_OK)
        set_problem(in, "", st.message);
    else
        in->memory.weights = packed_weights_growth(&model);
    if (in->tokenizer_problem) set_problem(in, "", in->tokenizer_problem);
    in->can_run = in->problem == NULL;
    arena_release(&arena);
}

static void predict_memory(struct inspection *in, const struct inspect_options *options)
{
    struct inspect_memory *m = &in->memory;
    m->n_context = options->n_context > 0 ? options->n_context : in->config.n_context;
    m->n_threads = options->n_threads > 0 ? options->n_threads : omp_get_num_procs();
    m->weights += in->weight_bytes; /* to what packing adds */
    const struct run_sizes run = {
        .n_context = m->n_context, .n_sequences = 1, .n_threads = m->n_threads};
    struct scheduler_plan plan = {0};
    struct status st = {0};
    if (in->config.architecture->is_encoder)
        plan.other_bytes = run_state_bytes(&in->config, &run);
    else if (scheduler_plan_make(&plan, &in->config, &run, 0, &st) != STATUS_OK)
        set_problem(in, "", st.message);
    m->cache = plan.cache_bytes;
    m->activations = plan.other_bytes;
    m->total = m->weights + m->vectors + m->cache + m->activations + m->tokenizer;
}

/* ---- tokenizer and template ---- */

static void take_template(struct inspection *in, const struct tokenizer *tokenizer)
{
    struct chat_template found;
    struct status st = {0};
    struct text source = tokenizer_get_info(tokenizer)->chat_template;
    in->template_bytes = source.length;
    if (!source.length) return;
    sha256_text(source, in->template_sha256);
    if (chat_template_find(&found, tokenizer, NULL, &st) == STATUS_OK)
        in->template_name = arena_strdup(&in->arena, found.name);
}

static void take_tokenizer(struct inspection *in, struct tokenizer *tokenizer,
                           const struct status *st)
{
    in->has_tokenizer = tokenizer != NULL;
    if (tokenizer) {
        take_template(in, tokenizer);
        in->tokenizer = *tokenizer_get_info(tokenizer);
        in->tokenizer.chat_template = (struct text){"", 0}; /* it was the tokenizer's */
        in->memory.tokenizer = tokenizer_bytes(tokenizer);
        tokenizer_free(tokenizer);
    } else {
        in->tokenizer_problem = arena_strdup(&in->arena, st->message);
    }
}

static void inspect_gguf_vocabulary(struct inspection *in, const struct gguf *file)
{
    struct status st = {0};
    struct tokenizer *tokenizer = NULL;
    if (!gguf_has(file, "tokenizer.ggml.tokens")) return;
    if (tokenizer_load_gguf(&tokenizer, file, &st) != STATUS_OK) tokenizer = NULL;
    take_tokenizer(in, tokenizer, &st);
}

static void inspect_directory_tokenizer(struct inspection *in)
{
    struct tokenizer *tokenizer = NULL;
    struct status problem = {0};
    status_code loaded = tokenizer_load(&tokenizer, in->path, &problem);
    if (loaded != STATUS_NOT_FOUND)
        take_tokenizer(in, loaded == STATUS_OK ? tokenizer : NULL, &problem);
}

/* ---- adapters ---- */

static const char *copy_of(struct inspection *in, const char *text)
{
    return text ? arena_strdup(&in->arena, text) : NULL;
}

static void take_adapter(struct inspection *in, const struct adapter *adapter)
{
    in->adapter = *adapter_get_info(adapter);
    in->adapter.path = in->path;
    in->adapter.architecture = copy_of(in, in->adapter.architecture);
    in->adapter.base = copy_of(in, in->adapter.base);
    in->adapter.modules = copy_of(in, in->adapter.modules);
    in->architecture = in->adapter.architecture;
    in->n_parameters = in->adapter.n_parameters;
    in->weight_bytes = in->adapter.bytes;
    in->has_adapter = true;
}

/* One that cannot be applied here is described all the same. */
static status_code inspect_adapter(struct inspection *in, const char *format, struct status *st)
{
    struct adapter *adapter = NULL;
    struct status problem = {0};
    status_code code = adapter_open(&adapter, in->path, &problem);
    in->is_adapter = true;
    in->format = format;
    if (code == STATUS_UNSUPPORTED) {
        set_problem(in, "", problem.message);
        return STATUS_OK;
    }
    if (code != STATUS_OK) {
        *st = problem;
        return code;
    }
    take_adapter(in, adapter);
    set_problem(in, "", "it is an adapter: name its base with --model and it with --adapter");
    adapter_free(adapter);
    return STATUS_OK;
}

/* ---- GGUF ---- */

static status_code inspect_gguf(struct inspection *in, const struct inspect_options *options,
                                struct status *st)
{
    struct gguf *file = NULL;
    struct text name;
    struct status problem = {0};
    status_code code = gguf_open_to_describe(&file, in->path, st);
    if (code != STATUS_OK) return code;
    in->format = "gguf";
    for (size_t i = 0; i < gguf_tensor_count(file); i++) add_tensor(in, gguf_tensor_at(file, i));
    if (gguf_get_text(file, "general.architecture", &name, &problem) == STATUS_OK)
        in->architecture = arena_strndup(&in->arena, name.data, name.length);
    problem = (struct status){0};
    if (gguf_check_whole(file, &problem) != STATUS_OK) set_problem(in, "", problem.message);
    problem = (struct status){0};
    inspect_gguf_vocabulary(in, file);
    const struct tensor_source source = {.gguf = file};
    if (model_config_from_gguf(&in->config, file, &problem) == STATUS_OK) {
        in->has_config = true;
        check_weights(in, &source);
        predict_memory(in, options);
    } else {
        set_problem(in, "", problem.message);
    }
    gguf_free(file);
    return STATUS_OK;
}

/* ---- safetensors ---- */

static status_code inspect_weights(struct inspection *in, struct safetensors **files,
                                   struct status *st)
{
    status_code code = safetensors_open(files, in->path, st);
    if (code != STATUS_OK) return code;
    in->format = "safetensors";
    for (size_t i = 0; i < safetensors_tensor_count(*files); i++)
        add_tensor(in, safetensors_tensor_at(*files, i));
    for (size_t i = 0; i < safetensors_unreadable_count(*files); i++) {
        const char *name = safetensors_unreadable_name(*files, i);
        note_unreadable(in, name, safetensors_unreadable(*files, name));
    }
    return STATUS_OK;
}

/* A config that is no JSON is an error; one that describes what cannot run here is not. */
static status_code inspect_config(struct inspection *in, const char *path, struct status *st)
{
    struct json_value *root = NULL;
    struct text type;
    struct status problem = {0};
    status_code code = json_parse_file(&root, path, LIMIT_CONFIG_BYTES, st);
    if (code != STATUS_OK) return code;
    if (json_get_text(root, "model_type", &type, &problem) == STATUS_OK)
        in->architecture = arena_strndup(&in->arena, type.data, type.length);
    problem = (struct status){0};
    in->has_config = model_config_from_json(&in->config, root, &problem) == STATUS_OK;
    if (!in->has_config) set_problem(in, "config.json: ", problem.message);
    json_free(root);
    return STATUS_OK;
}

static status_code inspect_directory(struct inspection *in, const struct inspect_options *options,
                                     struct status *st)
{
    char path[MAX_PATH_BYTES];
    struct safetensors *files = NULL;
    status_code code;
    inspect_directory_tokenizer(in);
    bool has_weights = is_there(in->path, "model.safetensors", path) ||
                       is_there(in->path, "model.safetensors.index.json", path);
    bool has_config = is_there(in->path, "config.json", path);
    if (has_config && (code = inspect_config(in, path, st)) != STATUS_OK) return code;
    if (!has_weights && !has_config && in->has_tokenizer) {
        in->format = "tokenizer";
        set_problem(in, "", "it has no weights");
        return STATUS_OK;
    }
    if (!has_weights && !has_config && in->tokenizer_problem)
        return status_set(st, STATUS_UNSUPPORTED, "%s", in->tokenizer_problem);
    if (!has_weights && !has_config)
        return status_set(
            st, STATUS_NOT_FOUND,
            "%s: holds no model and no tokenizer (a GGUF file is named itself, not its folder)",
            in->path);
    if ((code = inspect_weights(in, &files, st)) != STATUS_OK) return code;
    if (!has_config) set_problem(in, "", "there is no config.json beside the weights");
    const struct tensor_source source = {.safetensors = files};
    if (in->has_config) {
        check_weights(in, &source);
        predict_memory(in, options);
    }
    safetensors_free(files);
    return STATUS_OK;
}

/* ---- any file ---- */

/* A tokenizer.json begins with a brace, a tokenizer.model with neither of the magics; safetensors
 * begins with the length of a header that begins with a brace. */
static status_code read_magic(const char *path, unsigned char magic[9], size_t *n,
                              struct status *st)
{
    FILE *file = fopen(path, "rb");
    if (!file) return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    *n = fread(magic, 1, 9, file);
    fclose(file);
    return STATUS_OK;
}

static bool ends_with(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

static status_code inspect_file(struct inspection *in, const struct inspect_options *options,
                                struct status *st)
{
    unsigned char magic[9];
    size_t n = 0;
    struct safetensors *files = NULL;
    struct tokenizer *tokenizer = NULL;
    status_code code = read_magic(in->path, magic, &n, st);
    if (code != STATUS_OK) return code;
    if ((n >= 4 && memcmp(magic, "GGUF", 4) == 0) || ends_with(in->path, ".gguf"))
        return inspect_gguf(in, options, st);
    if ((n == 9 && magic[8] == '{') || ends_with(in->path, ".safetensors")) {
        code = inspect_weights(in, &files, st);
        safetensors_free(files);
        set_problem(in, "", "it is a single file of weights: name the folder with its config.json");
        return code;
    }
    code = tokenizer_load(&tokenizer, in->path, st);
    if (code != STATUS_OK) return code;
    take_tokenizer(in, tokenizer, st);
    in->format = "tokenizer";
    set_problem(in, "", "it has no weights");
    return STATUS_OK;
}

status_code inspect_path(struct inspection *out, const struct inspect_options *options,
                         struct status *st)
{
    struct strbuf path;
    struct stat info;
    *out = (struct inspection){0};
    arena_init(&out->arena, LIMIT_CONFIG_BYTES);
    strbuf_init(&path, MAX_PATH_BYTES);
    status_code code = model_path_resolve(&path, options->path, st);
    if (code == STATUS_OK) {
        out->path = arena_strdup(&out->arena, path.data);
        if (!out->path) code = status_no_memory(st, "the path");
    }
    if (code == STATUS_OK && stat(out->path, &info) != 0)
        code = status_set(st, STATUS_NOT_FOUND, "%s: %s", out->path, strerror(errno));
    if (code == STATUS_OK && !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode))
        code = status_set(st, STATUS_BAD_INPUT, "%s: is not a regular file", out->path);
    if (code == STATUS_OK && adapter_is_at(out->path))
        code = inspect_adapter(out, S_ISDIR(info.st_mode) ? "peft" : "gguf", st);
    else if (code == STATUS_OK)
        code = S_ISDIR(info.st_mode) ? inspect_directory(out, options, st)
                                     : inspect_file(out, options, st);
    strbuf_release(&path);
    if (code != STATUS_OK) inspection_release(out);
    return code;
}

void inspection_release(struct inspection *inspection)
{
    arena_release(&inspection->arena);
    *inspection = (struct inspection){0};
}
