/* A probe's file, the hidden state of a text, and its logits. */
#include "classifiers/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/strict_json.h"
#include "engine/base/limits.h"

static const char *const pool_names[] = {[POOL_LAST] = "last", [POOL_MEAN] = "mean"};

const char *probe_pool_name(enum probe_pool pool)
{
    return pool_names[pool];
}

bool probe_pool_find(const char *name, enum probe_pool *out)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(name, pool_names[i]) == 0) {
            *out = (enum probe_pool)i;
            return true;
        }
    return false;
}

/* ---- hidden states ---- */

struct pooling {
    float *sum; /* [d_model] */
    size_t d_model;
};

static void add_state(void *user, int position, const float *hidden)
{
    const struct pooling *p = user;
    (void)position;
    for (size_t i = 0; i < p->d_model; i++) p->sum[i] += hidden[i];
}

status_code probe_read_text(struct session *session, const struct engine *engine, struct text text,
                            enum probe_pool pool, float *hidden, struct status *st)
{
    const struct tokenizer *tokenizer = engine_get_tokenizer(engine);
    struct pooling p = {hidden, (size_t)engine_get_info(engine)->d_model};
    struct token_list ids = {0};
    memset(hidden, 0, p.d_model * sizeof *hidden);
    status_code code = tokenizer_encode(tokenizer, text, TOKENIZE_ADD_BOS, &ids, st);
    if (code == STATUS_OK && !ids.count)
        code = status_set(st, STATUS_UNSUPPORTED, "the text has no tokens");
    if (code == STATUS_OK && ids.count > (size_t)session_context(session))
        code = status_set(st, STATUS_LIMIT, "the text has %zu tokens, the model's context %d",
                          ids.count, session_context(session));
    int n = (int)ids.count;
    if (code == STATUS_OK)
        code =
            session_hidden(session, ids.ids, n, pool == POOL_MEAN ? 0 : n - 1, add_state, &p, st);
    token_list_release(&ids);
    for (size_t i = 0; code == STATUS_OK && pool == POOL_MEAN && i < p.d_model; i++)
        hidden[i] /= (float)n;
    return code;
}

void probe_logits(const struct probe *probe, const float *hidden, double *logits)
{
    for (int h = 0; h < probe->n_heads; h++) {
        const float *w = probe->weights + (size_t)h * (size_t)probe->d_model;
        double sum = probe->bias[h];
        for (int i = 0; i < probe->d_model; i++) sum += (double)w[i] * (double)hidden[i];
        logits[h] = sum;
    }
}

/* ---- the file ---- */

void probe_append(struct strbuf *out, const struct probe *probe, struct text training)
{
    strbuf_append_str(out, "{\"format\": \"assay-probe-1\", \"name\": ");
    json_append_str(out, probe->name);
    strbuf_appendf(out, ", \"weights_sha256\": \"%s\", \"pool\": \"%s\", \"d_model\": %d,\n",
                   probe->weights_sha256, pool_names[probe->pool], probe->d_model);
    strbuf_append_str(out, "\"training\": ");
    strbuf_append(out, training.data, training.length);
    strbuf_append_str(out, ",\n\"heads\": [");
    for (int h = 0; h < probe->n_heads; h++) {
        strbuf_appendf(out, "%s\n{\"category\": \"%s\", \"l2\": ", h ? "," : "",
                       hazard_get(probe->category[h])->name);
        json_append_number(out, probe->l2[h]);
        strbuf_append_str(out, ", \"bias\": ");
        json_append_number(out, probe->bias[h]);
        strbuf_append_str(out, ", \"weights\": [");
        for (int i = 0; i < probe->d_model; i++)
            strbuf_appendf(out, "%s%.9g", i ? "," : "",
                           (double)probe->weights[(size_t)h * (size_t)probe->d_model + (size_t)i]);
        strbuf_append_str(out, "]}");
    }
    strbuf_append_str(out, "]}\n");
}

static status_code read_head(struct probe *probe, const struct json_value *json, int h,
                             struct status *st)
{
    static const char *const names[] = {"category", "l2", "bias", "weights"};
    const struct json_value *weights;
    struct text category;
    status_code code;
    if ((code = strict_json_fields(json, names, 4, st)) != STATUS_OK ||
        (code = json_get_text(json, "category", &category, st)) != STATUS_OK ||
        (code = json_get_double(json, "l2", &probe->l2[h], st)) != STATUS_OK ||
        (code = json_get_double(json, "bias", &probe->bias[h], st)) != STATUS_OK ||
        (code = json_get_array(json, "weights", &weights, st)) != STATUS_OK)
        return code;
    if (!hazard_find(category, &probe->category[h]))
        return status_set(st, STATUS_BAD_INPUT, "field \"category\": unknown category \"%.64s\"",
                          category.data);
    for (int i = 0; i < h; i++)
        if (probe->category[i] == probe->category[h])
            return status_set(st, STATUS_BAD_INPUT, "field \"category\": \"%.64s\" is there twice",
                              category.data);
    if (json_count(weights) != (size_t)probe->d_model)
        return status_set(st, STATUS_BAD_INPUT, "field \"weights\" has %zu numbers, expected %d",
                          json_count(weights), probe->d_model);
    float *w = probe->weights + (size_t)h * (size_t)probe->d_model;
    for (const struct json_value *v = json_first(weights); v; v = json_next(v)) {
        if (json_kind(v) != JSON_NUMBER || !isfinite((float)json_number(v)))
            return status_set(st, STATUS_BAD_INPUT, "field \"weights\" must hold numbers");
        *w++ = (float)json_number(v);
    }
    return STATUS_OK;
}

static status_code read_heads(struct probe *probe, const struct json_value *root, struct status *st)
{
    const struct json_value *heads;
    status_code code = json_get_array(root, "heads", &heads, st);
    if (code != STATUS_OK) return code;
    if (!json_count(heads) || json_count(heads) > LINEAR_MAX_HEADS)
        return status_set(st, STATUS_BAD_INPUT, "field \"heads\" has %zu entries, expected 1 to %d",
                          json_count(heads), LINEAR_MAX_HEADS);
    probe->n_heads = (int)json_count(heads);
    probe->weights = calloc((size_t)probe->n_heads * (size_t)probe->d_model, sizeof(float));
    if (!probe->weights) return status_no_memory(st, "a probe");
    int h = 0;
    for (const struct json_value *v = json_first(heads); v; v = json_next(v), h++)
        if (read_head(probe, v, h, st) != STATUS_OK)
            return status_prefix(st, "field \"heads\"[%d]", h);
    return STATUS_OK;
}

static status_code read_probe(struct probe *probe, const struct json_value *root, struct status *st)
{
    static const char *const names[] = {"format",  "name",     "weights_sha256", "pool",
                                        "d_model", "training", "heads"};
    struct text format, name, sha256, pool;
    const struct json_value *training;
    int64_t d_model;
    status_code code;
    if ((code = strict_json_fields(root, names, sizeof names / sizeof names[0], st)) ||
        (code = json_get_text(root, "format", &format, st)) ||
        (code = strict_json_name(root, "name", &name, st)) ||
        (code = json_get_text(root, "weights_sha256", &sha256, st)) ||
        (code = json_get_text(root, "pool", &pool, st)) ||
        (code = json_get_object(root, "training", &training, st)) ||
        (code = json_get_int(root, "d_model", 1, LIMIT_HIDDEN, &d_model, st)))
        return code;
    if (!text_equal(format, text_of("assay-probe-1")))
        return status_set(st, STATUS_BAD_INPUT, "field \"format\" is \"%.40s\"", format.data);
    if (sha256.length != SHA256_HEX_SIZE - 1)
        return status_set(st, STATUS_BAD_INPUT, "field \"weights_sha256\" is no digest");
    if (!probe_pool_find(pool.data, &probe->pool))
        return status_set(st, STATUS_BAD_INPUT, "field \"pool\" must be last or mean");
    memcpy(probe->name, name.data, name.length);
    memcpy(probe->weights_sha256, sha256.data, sha256.length);
    probe->d_model = (int)d_model;
    return read_heads(probe, root, st);
}

status_code probe_parse(struct probe **out, struct text bytes, const char *source,
                        struct status *st)
{
    struct json_value *root = NULL;
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe) return status_no_memory(st, "a probe");
    status_code code = json_parse(&root, bytes, st);
    if (code == STATUS_OK) {
        code = read_probe(probe, root, st);
        json_free(root);
    }
    if (code != STATUS_OK) {
        probe_free(probe);
        return status_prefix(st, "%s", source);
    }
    *out = probe;
    return STATUS_OK;
}

void probe_free(struct probe *probe)
{
    if (!probe) return;
    free(probe->weights);
    free(probe);
}
