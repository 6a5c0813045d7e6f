/* assay inspect: what a model's files are, before anything is loaded. */
#include <inttypes.h>

#include "benchmarks/cli/cli.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/inspect/inspect.h"
#include "engine/model/architecture.h"
#include "engine/quants/quants.h"

/* ---- for people ---- */

static void append_bytes(struct strbuf *out, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 4; unit++) value /= 1000;
    strbuf_appendf(out, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void append_shape(struct strbuf *out, const struct model_config *c)
{
    strbuf_appendf(out, "shape         %d layers, width %d, feed-forward %d, %d heads of %d",
                   c->n_layers, c->d_model, c->d_ff, c->n_heads, c->head_dim);
    if (c->n_kv_heads != c->n_heads) strbuf_appendf(out, ", %d for keys", c->n_kv_heads);
    strbuf_appendf(out, "\ncontext       %d", c->n_context);
    if (c->window > 0) strbuf_appendf(out, ", attention window %d", c->window);
    strbuf_appendf(out, "\nvocabulary    %d%s\n", c->n_vocab,
                   c->tied_output ? ", output is the embedding" : "");
    if (c->architecture->is_encoder)
        strbuf_appendf(out, "labels        %d, %s\n", c->n_labels,
                       c->is_multilabel ? "independent" : "exclusive");
}

static void append_tensors(struct strbuf *out, const struct inspection *in)
{
    if (!in->n_tensors) return;
    strbuf_appendf(out, "parameters    %" PRIu64 " in %" PRIu64 " tensors, ", in->n_parameters,
                   in->n_tensors);
    append_bytes(out, in->weight_bytes);
    strbuf_append_str(out, "\n");
    for (int i = 0; i < in->n_rows; i++) {
        const struct inspect_row *row = &in->rows[i];
        strbuf_appendf(out, "  %-12s  %-8s %6" PRIu64 " tensors  ", row->kind,
                       tensor_type_any_name(row->type), row->n_tensors);
        append_bytes(out, row->bytes);
        strbuf_append_str(out, "\n");
    }
    if (in->n_unreadable)
        strbuf_appendf(out, "unreadable    %" PRIu64 " tensors; %s\n", in->n_unreadable,
                       in->first_unreadable);
}

static void append_tokenizer(struct strbuf *out, const struct inspection *in)
{
    if (in->has_tokenizer)
        strbuf_appendf(out, "tokenizer     %s, %d pieces, %s BOS, sha256 %.12s\n",
                       in->tokenizer.kind, in->tokenizer.n_vocab,
                       in->tokenizer.add_bos ? "adds" : "no", in->tokenizer.sha256);
    else
        strbuf_appendf(out, "tokenizer     %s\n",
                       in->tokenizer_problem ? in->tokenizer_problem : "none");
    if (in->template_bytes)
        strbuf_appendf(out, "chat template %s, %zu bytes, sha256 %.12s\n",
                       in->template_name ? in->template_name : "not recognised", in->template_bytes,
                       in->template_sha256);
}

static void append_memory(struct strbuf *out, const struct inspect_memory *m)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {{"weights", m->weights},
                 {"keys and values", m->cache},
                 {"activations", m->activations},
                 {"norms, biases", m->vectors},
                 {"tokenizer", m->tokenizer}};
    strbuf_append_str(out, "memory        ");
    append_bytes(out, m->total);
    strbuf_appendf(out, " for %d tokens on %d threads\n", m->n_context, m->n_threads);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        strbuf_appendf(out, "  %-16s ", parts[i].name);
        append_bytes(out, parts[i].bytes);
        strbuf_append_str(out, "\n");
    }
}

static void append_adapter(struct strbuf *out, const struct inspection *in)
{
    const struct adapter_info *a = &in->adapter;
    if (!in->has_adapter) return;
    if (a->base) strbuf_appendf(out, "base          %s\n", a->base);
    strbuf_appendf(out, "rank          %d, alpha %g%s\n", a->rank, a->alpha,
                   a->rank_stabilised ? ", rank-stabilised" : "");
    strbuf_appendf(out, "matrices      %zu: %s\nparameters    %" PRIu64 ", ", a->n_pairs,
                   a->modules, a->n_parameters);
    append_bytes(out, a->bytes);
    strbuf_append_str(out, "\n");
}

static void append_text(struct strbuf *out, const struct inspection *in)
{
    strbuf_appendf(out, "file          %s\nformat        %s%s\n", in->path, in->format,
                   in->is_adapter ? ", a LoRA adapter" : "");
    if (in->architecture) strbuf_appendf(out, "architecture  %s\n", in->architecture);
    if (in->problem)
        strbuf_appendf(out, "runs here     no: %s\n", in->problem);
    else
        strbuf_append_str(out, "runs here     yes\n");
    if (in->has_config) append_shape(out, &in->config);
    append_tensors(out, in);
    append_adapter(out, in);
    if (!in->is_adapter) append_tokenizer(out, in);
    if (in->has_config) append_memory(out, &in->memory);
}

/* ---- for programs ---- */

static void json_field(struct strbuf *out, const char *key, const char *value)
{
    strbuf_appendf(out, "\"%s\": ", key);
    if (value)
        json_append_str(out, value);
    else
        strbuf_append_str(out, "null");
}

static void append_json_shape(struct strbuf *out, const struct inspection *in)
{
    const struct model_config *c = &in->config;
    if (!in->has_config) {
        strbuf_append_str(out, ", \"shape\": null");
        return;
    }
    strbuf_appendf(out,
                   ", \"shape\": {\"layers\": %d, \"width\": %d, \"feed_forward\": %d, \"heads\": "
                   "%d, \"kv_heads\": %d, \"head_dim\": %d, \"vocabulary\": %d, \"context\": %d, ",
                   c->n_layers, c->d_model, c->d_ff, c->n_heads, c->n_kv_heads, c->head_dim,
                   c->n_vocab, c->n_context);
    if (c->window > 0)
        strbuf_appendf(out, "\"window\": %d", c->window);
    else
        strbuf_append_str(out, "\"window\": null");
    strbuf_appendf(out, ", \"tied_output\": %s}", c->tied_output ? "true" : "false");
}

static void append_json_tensors(struct strbuf *out, const struct inspection *in)
{
    strbuf_appendf(out,
                   ", \"tensors\": %" PRIu64 ", \"parameters\": %" PRIu64
                   ", \"weight_bytes\": %" PRIu64 ", \"types\": [",
                   in->n_tensors, in->n_parameters, in->weight_bytes);
    for (int i = 0; i < in->n_rows; i++) {
        const struct inspect_row *row = &in->rows[i];
        strbuf_appendf(out,
                       "%s{\"kind\": \"%s\", \"type\": \"%s\", \"tensors\": %" PRIu64
                       ", \"parameters\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
                       i ? ", " : "", row->kind, tensor_type_any_name(row->type), row->n_tensors,
                       row->n_values, row->bytes);
    }
    strbuf_appendf(out, "], \"unreadable_tensors\": %" PRIu64 ", ", in->n_unreadable);
    json_field(out, "first_unreadable", in->first_unreadable);
}

static void json_id(struct strbuf *out, const char *key, int32_t id)
{
    if (id < 0)
        strbuf_appendf(out, ", \"%s\": null", key);
    else
        strbuf_appendf(out, ", \"%s\": %" PRId32, key, id);
}

static void append_json_tokenizer(struct strbuf *out, const struct inspection *in)
{
    const struct tokenizer_info *t = &in->tokenizer;
    strbuf_append_str(out, ", \"tokenizer\": ");
    if (in->has_tokenizer) {
        strbuf_appendf(out,
                       "{\"kind\": \"%s\", \"pieces\": %d, \"sha256\": \"%s\", \"add_bos\": %s",
                       t->kind, t->n_vocab, t->sha256, t->add_bos ? "true" : "false");
        json_id(out, "bos", t->bos);
        json_id(out, "eos", t->eos);
        json_id(out, "unknown", t->unknown);
        json_id(out, "pad", t->pad);
        strbuf_append_str(out, "}");
    } else {
        strbuf_append_str(out, "null");
    }
    strbuf_append_str(out, ", ");
    json_field(out, "tokenizer_problem", in->tokenizer_problem);
    if (!in->template_bytes) {
        strbuf_append_str(out, ", \"chat_template\": null");
        return;
    }
    strbuf_appendf(out, ", \"chat_template\": {\"bytes\": %zu, \"sha256\": \"%s\", ",
                   in->template_bytes, in->template_sha256);
    json_field(out, "name", in->template_name);
    strbuf_append_str(out, "}");
}

static void append_json_adapter(struct strbuf *out, const struct inspection *in)
{
    const struct adapter_info *a = &in->adapter;
    if (!in->has_adapter) {
        strbuf_append_str(out, ", \"adapter\": null");
        return;
    }
    strbuf_appendf(out, ", \"adapter\": {\"rank\": %d, \"alpha\": ", a->rank);
    json_append_number(out, a->alpha);
    strbuf_appendf(out, ", \"rank_stabilised\": %s, \"matrices\": %zu, ",
                   a->rank_stabilised ? "true" : "false", a->n_pairs);
    json_field(out, "modules", a->modules);
    strbuf_append_str(out, ", ");
    json_field(out, "base", a->base);
    strbuf_append_str(out, "}");
}

static void append_json_memory(struct strbuf *out, const struct inspection *in)
{
    const struct inspect_memory *m = &in->memory;
    if (!in->has_config) {
        strbuf_append_str(out, ", \"memory\": null");
        return;
    }
    strbuf_appendf(out,
                   ", \"memory\": {\"context\": %d, \"threads\": %d, \"weights\": %" PRIu64
                   ", \"cache\": %" PRIu64 ", \"activations\": %" PRIu64 ", \"vectors\": %" PRIu64
                   ", \"tokenizer\": %" PRIu64 ", \"total\": %" PRIu64 "}",
                   m->n_context, m->n_threads, m->weights, m->cache, m->activations, m->vectors,
                   m->tokenizer, m->total);
}

static void append_json(struct strbuf *out, const struct inspection *in)
{
    strbuf_append_str(out, "{");
    json_field(out, "path", in->path);
    strbuf_append_str(out, ", ");
    json_field(out, "format", in->format);
    strbuf_append_str(out, ", ");
    json_field(out, "architecture", in->architecture);
    strbuf_appendf(out, ", \"runs\": %s, ", in->problem ? "false" : "true");
    json_field(out, "problem", in->problem);
    append_json_shape(out, in);
    append_json_tensors(out, in);
    append_json_tokenizer(out, in);
    append_json_memory(out, in);
    append_json_adapter(out, in);
    strbuf_append_str(out, "}\n");
}

int cmd_inspect(const struct command *self, int argc, const char **argv)
{
    bool json = false;
    int64_t context = 0, threads = 0;
    const struct option_row rows[] = {
        {"json", OPTION_FLAG, &json, NULL, "one JSON object", 0, 0},
        {"context", OPTION_INT, &context, "N",
         "predict memory for so many tokens (the model's own)", 1, LIMIT_CONTEXT},
        {"threads", OPTION_INT, &threads, "N", "the same; default: one per processor", 1, 1024},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 3, argc, argv, &words, &code)) return code;
    if (words.n_positional != 1) return cli_usage_error(self, "one path is needed");
    const struct inspect_options options = {.path = cli_model_path(words.positional[0]),
                                            .n_context = (int)context,
                                            .n_threads = (int)threads};
    struct status st = {0};
    struct inspection in;
    struct strbuf out;
    if (inspect_path(&in, &options, &st) != STATUS_OK) return cli_fail(&st);
    strbuf_init(&out, LIMIT_CONFIG_BYTES);
    if (json)
        append_json(&out, &in);
    else
        append_text(&out, &in);
    bool good = strbuf_check(&out, "the description", &st) == STATUS_OK &&
                cli_write(&out, &st) == STATUS_OK;
    inspection_release(&in);
    strbuf_release(&out);
    return good ? EXIT_DONE : cli_fail(&st);
}
