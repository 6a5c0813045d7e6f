#include "benchmarks/speed_report.h"

#include <inttypes.h>

#include "engine/base/json.h"

/* ---- text ---- */

static void append_heading(struct strbuf *out, const struct speed_subject *subject,
                           const struct speed_result *r)
{
    const struct engine_info *info = subject->engine;
    strbuf_appendf(out, "model     %s\n", subject->title);
    strbuf_appendf(out, "          %s, %s, %.2f billion parameters, %.0f MB of matrices\n",
                   info->architecture, info->quantisation, (double)info->n_parameters / 1e9,
                   (double)info->matrix_bytes / 1e6);
    strbuf_appendf(out, "computed  kernels %s, products in %s, %d thread%s\n", info->kernels,
                   info->compute, info->n_threads, info->n_threads == 1 ? "" : "s");
    strbuf_appendf(out, "machine   %.0f G%s/s in %s, %.1f GB/s read: the best of this run\n",
                   r->peak_operations / 1e9, r->peak_compute[0] == 'i' ? "OP" : "FLOP",
                   r->peak_compute, r->read_bandwidth / 1e9);
    strbuf_appendf(out, "memory    %.0f MB resident at most\n\n",
                   (double)r->peak_resident_bytes / 1e6);
}

static void append_workload(struct strbuf *out, const struct workload_result *w)
{
    const char *of =
        w->kind == WORKLOAD_MMLU ? "5-shot MMLU" : "RealToxicityPrompts, 25 x 20 tokens";
    strbuf_appendf(out, "%s, %d documents%s\n", of, w->n_documents,
                   w->is_real ? "" : " of made-up tokens at usual lengths");
    strbuf_appendf(out, "  together    %9.3f documents/s: %d requests in %.1f s\n",
                   w->documents_per_second, w->n_requests, w->seconds);
    strbuf_appendf(out, "  one by one  %9.3f documents/s: together it is %.1f times as fast\n",
                   w->one_by_one, w->documents_per_second / w->one_by_one);
    strbuf_appendf(out,
                   "  tokens      %9" PRIu64 " asked, %" PRIu64 " unique, %" PRIu64
                   " computed: %.1f%% saved, %.3f computed for each unique one\n",
                   w->asked, w->unique, w->computed,
                   100 * (1 - (double)w->computed / (double)w->asked),
                   (double)w->computed / (double)w->unique);
}

void speed_append_text(struct strbuf *out, const struct speed_subject *subject,
                       const struct speed_result *r, const struct workload_result *workload)
{
    append_heading(out, subject, r);
    if (workload) append_workload(out, workload);
    if (workload && r->n_rows) strbuf_append_char(out, '\n');
    if (r->n_rows)
        strbuf_appendf(out, "%-8s %6s %7s %8s %10s %19s  %s\n", "what", "batch", "tokens",
                       "context", "tokens/s", "slowest to fastest", "fastest, of the machine");
    for (int i = 0; i < r->n_rows; i++) {
        const struct speed_row *row = &r->rows[i];
        strbuf_appendf(out, "%-8s %6d %7d %8d %10.1f %8.1f to %7.1f  %3.0f%% of its %s\n",
                       speed_kind_name(row->kind), row->batch, row->n_tokens, row->n_context,
                       row->tokens_per_second, row->slowest, row->fastest, 100 * row->fraction,
                       speed_bound_name(row->bound));
    }
}

/* ---- JSON ---- */

static void append_number(struct strbuf *out, const char *name, double value)
{
    strbuf_appendf(out, ", \"%s\": ", name);
    json_append_number(out, value);
}

static void append_string(struct strbuf *out, const char *name, const char *value)
{
    strbuf_appendf(out, ", \"%s\": ", name);
    json_append_str(out, value);
}

/* The first row of a kind stands for it. */
static void append_rate(struct strbuf *out, const char *name, const struct speed_result *r,
                        enum speed_kind kind)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind == kind) {
            strbuf_appendf(out, "\"%s\": ", name);
            json_append_number(out, r->rows[i].tokens_per_second);
            return;
        }
    strbuf_appendf(out, "\"%s\": null", name);
}

static void append_row(struct strbuf *out, const struct speed_row *row)
{
    strbuf_appendf(out, "{\"kind\": \"%s\", \"batch\": %d, \"length\": %d, \"context\": %d",
                   speed_kind_name(row->kind), row->batch, row->n_tokens, row->n_context);
    append_number(out, "tokens_per_second", row->tokens_per_second);
    append_number(out, "slowest", row->slowest);
    append_number(out, "fastest", row->fastest);
    append_string(out, "bound", speed_bound_name(row->bound));
    append_number(out, "fraction_of_machine", row->fraction);
    strbuf_append_char(out, '}');
}

static void append_workload_json(struct strbuf *out, const struct workload_result *w)
{
    strbuf_appendf(out, ", \"workload\": {\"kind\": \"%s\", \"real_texts\": %s",
                   workload_kind_name(w->kind), w->is_real ? "true" : "false");
    append_number(out, "documents", w->n_documents);
    append_number(out, "requests", w->n_requests);
    append_number(out, "seconds", w->seconds);
    append_number(out, "documents_per_second", w->documents_per_second);
    append_number(out, "one_by_one_documents_per_second", w->one_by_one);
    append_number(out, "tokens_asked", (double)w->asked);
    append_number(out, "tokens_unique", (double)w->unique);
    append_number(out, "tokens_computed", (double)w->computed);
    append_number(out, "tokens_saved", (double)w->asked - (double)w->computed);
    strbuf_append_char(out, '}');
}

void speed_append_json(struct strbuf *out, const struct speed_subject *subject,
                       const struct speed_result *r, const struct workload_result *workload)
{
    const struct engine_info *info = subject->engine;
    strbuf_append_char(out, '{');
    append_rate(out, "prefill_tokens_per_second", r, SPEED_PREFILL);
    strbuf_append_str(out, ", ");
    append_rate(out, "decode_tokens_per_second", r, SPEED_DECODE);
    strbuf_appendf(out, ", \"batch\": 1, \"length\": %d, \"threads\": %d",
                   r->n_rows ? r->rows[0].n_tokens : 0, info->n_threads);
    append_string(out, "kernel_set", info->kernels);
    append_string(out, "compute", info->compute);
    strbuf_appendf(out, ", \"peak_resident_bytes\": %" PRId64, r->peak_resident_bytes);
    append_string(out, "model", subject->title);
    append_string(out, "architecture", info->architecture);
    append_string(out, "quantisation", info->quantisation);
    append_number(out, "layer_parameters", (double)info->layer_parameters);
    append_number(out, "matrix_bytes", (double)info->matrix_bytes);
    append_string(out, "peak_compute", r->peak_compute);
    append_number(out, "peak_operations", r->peak_operations);
    append_number(out, "read_bandwidth", r->read_bandwidth);
    strbuf_append_str(out, ", \"rows\": [");
    for (int i = 0; i < r->n_rows; i++) {
        if (i) strbuf_append_str(out, ", ");
        append_row(out, &r->rows[i]);
    }
    strbuf_append_char(out, ']');
    if (workload) append_workload_json(out, workload);
    strbuf_append_str(out, "}\n");
}
