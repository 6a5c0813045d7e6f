#include "benchmarks/run_config.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/json.h"

struct run_config run_config_default(void)
{
    return (struct run_config){
        .guard_mode = GUARD_OFF,
        .num_fewshot = -1,
        .seed = 1234,
        .temperature = (double)NAN,
        .top_k = -1,
        .top_p = (double)NAN,
    };
}

/* The config's fields, once for writing and reading. */
enum field_kind { FIELD_TEXT, FIELD_INT, FIELD_NUMBER, FIELD_FLAG };
struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};
#define FIELD(kind, name)                                                                          \
    {                                                                                              \
#name, kind, offsetof(struct run_config, name)                                             \
    }
static const struct field fields[] = {
    FIELD(FIELD_TEXT, model),
    FIELD(FIELD_TEXT, adapter),
    FIELD(FIELD_TEXT, tasks),
    FIELD(FIELD_TEXT, profile),
    FIELD(FIELD_TEXT, data_dir),
    FIELD(FIELD_TEXT, guard),
    FIELD(FIELD_TEXT, kernels),
    FIELD(FIELD_TEXT, type),
    FIELD(FIELD_TEXT, toxicity_classifier),
    FIELD(FIELD_INT, threads),
    FIELD(FIELD_INT, num_fewshot),
    FIELD(FIELD_INT, limit),
    FIELD(FIELD_INT, max_context),
    FIELD(FIELD_INT, cache_memory),
    FIELD(FIELD_INT, max_memory),
    FIELD(FIELD_INT, max_gen_toks),
    FIELD(FIELD_INT, repeats),
    FIELD(FIELD_INT, shot_seeds),
    FIELD(FIELD_INT, shard),
    FIELD(FIELD_INT, n_shards),
    FIELD(FIELD_NUMBER, temperature),
    FIELD(FIELD_INT, top_k),
    FIELD(FIELD_NUMBER, top_p),
    FIELD(FIELD_FLAG, round_embedding_scale),
    FIELD(FIELD_FLAG, chat),
    FIELD(FIELD_TEXT, chat_template),
    FIELD(FIELD_TEXT, chat_system),
    FIELD(FIELD_TEXT, chat_system_as),
    FIELD(FIELD_FLAG, chat_fewshot_in_one_turn),
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static void append_field(const struct run_config *config, const struct field *f, struct strbuf *out)
{
    const void *at = (const char *)config + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
        if (*(const char *const *)at)
            json_append_str(out, *(const char *const *)at);
        else
            strbuf_append_str(out, "null");
        break;
    case FIELD_INT:
        strbuf_appendf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case FIELD_NUMBER:
        json_append_number(out, *(const double *)at);
        break;
    case FIELD_FLAG:
        strbuf_append_str(out, *(const bool *)at ? "true" : "false");
        break;
    }
}

void run_config_to_json(const struct run_config *config, struct strbuf *out)
{
    strbuf_append_char(out, '{');
    for (size_t i = 0; i < N_FIELDS; i++) {
        json_append_str(out, fields[i].key);
        strbuf_append_char(out, ':');
        append_field(config, &fields[i], out);
        strbuf_append_char(out, ',');
    }
    /* 64 bits do not fit a JSON number that others read as a double. */
    strbuf_appendf(out, "\"seed\":\"%" PRIu64 "\",\"guard_mode\":", config->seed);
    json_append_str(out, guard_mode_name(config->guard_mode));
    strbuf_append_char(out, '}');
}

static status_code read_field(struct run_config *config, const struct field *f,
                              const struct json_value *root, struct arena *arena, struct status *st)
{
    void *at = (char *)config + f->offset;
    struct text text;
    status_code code;
    switch (f->kind) {
    case FIELD_TEXT:
        if (!json_has(root, f->key)) return STATUS_OK;
        if ((code = json_get_text(root, f->key, &text, st)) != STATUS_OK) return code;
        *(char **)at = arena_strndup(arena, text.data, text.length);
        return *(char **)at ? STATUS_OK : status_no_memory(st, f->key);
    case FIELD_INT: /* a run of an earlier program lacks what came later */
        return json_has(root, f->key) ? json_get_int(root, f->key, -1, INT32_MAX, at, st)
                                      : STATUS_OK;
    case FIELD_NUMBER:
        return json_has(root, f->key) ? json_get_double(root, f->key, at, st) : STATUS_OK;
    case FIELD_FLAG:
        break;
    }
    return json_has(root, f->key) ? json_get_bool(root, f->key, at, st) : STATUS_OK;
}

static status_code read_config(struct run_config *config, const struct json_value *root,
                               struct arena *arena, struct status *st)
{
    struct text seed, mode;
    char name[32];
    status_code code = STATUS_OK;
    for (size_t i = 0; i < N_FIELDS && code == STATUS_OK; i++)
        code = read_field(config, &fields[i], root, arena, st);
    if (code != STATUS_OK || (code = json_get_text(root, "seed", &seed, st)) != STATUS_OK ||
        (code = json_get_text(root, "guard_mode", &mode, st)) != STATUS_OK)
        return code;
    config->seed = strtoull(seed.data, NULL, 10);
    snprintf(name, sizeof name, "%.*s", TEXT_ARGS(mode));
    if (!guard_mode_find(name, &config->guard_mode))
        return status_set(st, STATUS_BAD_INPUT, "field \"guard_mode\" is \"%s\"", name);
    if (!config->model || !config->tasks)
        return status_set(st, STATUS_BAD_INPUT, "fields \"model\" and \"tasks\" are needed");
    return STATUS_OK;
}

status_code run_config_from_json(struct run_config *out, struct text json, struct arena *arena,
                                 struct status *st)
{
    struct json_value *root;
    struct run_config config = run_config_default();
    status_code code = json_parse(&root, json, st);
    if (code != STATUS_OK) return code;
    code = read_config(&config, root, arena, st);
    json_free(root);
    if (code == STATUS_OK) *out = config;
    return code;
}
