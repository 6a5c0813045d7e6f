/* report_json.c - the table, a comparison and a gate's result as JSON. */
#include "reports/report_json.h"

#include <math.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_table.h"

void json_next_item(struct strbuf *out)
{
    if (out->length && !strchr("{[\n", out->data[out->length - 1])) strbuf_append_char(out, ',');
}

void json_member_direction(struct strbuf *out, const char *key, enum metric_direction value)
{
    if (value == NO_DIRECTION)
        json_member_str(out, key, NULL);
    else
        json_member_bool(out, key, value == HIGHER_IS_BETTER);
}

void json_member_key(struct strbuf *out, const char *key)
{
    json_next_item(out);
    json_append_str(out, key);
    strbuf_append_char(out, ':');
}

void json_member_text(struct strbuf *out, const char *key, struct text value)
{
    json_member_key(out, key);
    if (value.data)
        json_append_text(out, value);
    else
        strbuf_append_str(out, "null");
}

void json_member_str(struct strbuf *out, const char *key, const char *value)
{
    json_member_text(out, key, value ? text_of(value) : (struct text){0});
}

void json_member_int(struct strbuf *out, const char *key, int64_t value)
{
    json_member_key(out, key);
    if (value == STORE_UNKNOWN)
        strbuf_append_str(out, "null");
    else
        strbuf_appendf(out, "%lld", (long long)value);
}

void json_member_number(struct strbuf *out, const char *key, double value)
{
    json_member_key(out, key);
    json_append_number(out, value);
}

void json_member_bool(struct strbuf *out, const char *key, bool value)
{
    json_member_key(out, key);
    strbuf_append_str(out, value ? "true" : "false");
}

/* ---- The table ---- */

static void append_chat(struct strbuf *out, const struct store_chat *chat)
{
    json_member_key(out, "chat");
    if (!chat->format) {
        strbuf_append_str(out, "null");
        return;
    }
    strbuf_append_char(out, '{');
    json_member_str(out, "format", chat->format);
    json_member_str(out, "template_sha256", chat->template_sha256);
    json_member_str(out, "system", chat->system);
    json_member_str(out, "system_as", chat->system_as);
    json_member_str(out, "fewshot_as", chat->fewshot_as);
    json_member_int(out, "n_system_dropped", chat->n_system_dropped);
    json_member_int(out, "n_system_in_user", chat->n_system_in_user);
    strbuf_append_char(out, '}');
}

static void append_run(struct strbuf *out, const struct store_run *run)
{
    strbuf_append_char(out, '{');
    json_member_str(out, "id", run->id);
    json_member_str(out, "state", run_state_name(run->state));
    json_member_str(out, "started_at", run->started_at);
    json_member_str(out, "finished_at", run->finished_at);
    json_member_str(out, "program_version", run->program_version);
    json_member_str(out, "program_commit", run->program_commit);
    json_member_str(out, "compiler", run->compiler);
    json_member_str(out, "build_flags", run->build_flags);
    json_member_str(out, "cpu", run->cpu);
    json_member_str(out, "kernel_set", run->kernel_set);
    json_member_int(out, "threads", run->threads);
    json_member_str(out, "backend", run->backend);
    json_member_str(out, "model_path", run->model_path);
    json_member_str(out, "architecture", run->architecture);
    json_member_str(out, "quantisation", run->quantisation);
    json_member_str(out, "weights_sha256", run->weights_sha256);
    json_member_str(out, "adapter", run->adapter);
    json_member_str(out, "adapter_sha256", run->adapter_sha256);
    json_member_str(out, "tokenizer_sha256", run->tokenizer_sha256);
    json_member_str(out, "tokenizer_kind", run->tokenizer_kind);
    json_member_str(out, "chat_template", run->chat_template);
    append_chat(out, &run->chat);
    json_member_str(out, "bos_policy", run->bos_policy);
    json_member_number(out, "temperature", run->temperature);
    json_member_int(out, "top_k", run->top_k);
    json_member_number(out, "top_p", run->top_p);
    json_member_int(out, "max_tokens", run->max_tokens);
    json_member_key(out, "seed");
    strbuf_appendf(out, "%llu", (unsigned long long)run->seed);
    json_member_str(out, "guard_mode", guard_mode_name(run->guard_mode));
    json_member_str(out, "guard_policy_sha256", run->guard_policy_sha256);
    json_member_str(out, "command_line", run->command_line);
    strbuf_append_char(out, '}');
}

static void append_column(struct strbuf *out, const char *key, const struct score_column *column,
                          bool is_group)
{
    json_member_key(out, key);
    if (column->state == SCORE_NO_GUARD) {
        strbuf_append_str(out, "null");
        return;
    }
    strbuf_append_char(out, '{');
    json_member_str(out, "state", score_state_name(column->state));
    json_member_number(out, "value", column->value);
    json_member_number(out, "stderr", column->stderror);
    if (is_group) json_member_number(out, "macro", column->macro);
    json_member_int(out, "scored", column->scored);
    json_member_number(out, "coverage", column->coverage);
    strbuf_append_char(out, '}');
}

static void append_shadow(struct strbuf *out, const struct score_row *row)
{
    json_member_key(out, "shadow");
    if (row->enforce.state == SCORE_NO_GUARD) {
        strbuf_append_str(out, "null");
        return;
    }
    strbuf_append_char(out, '{');
    json_member_number(out, "value", row->off.value);
    json_member_int(out, "blocks", row->blocked_input + row->blocked_output);
    strbuf_append_char(out, '}');
}

static void append_row(struct strbuf *out, const struct score_row *row)
{
    struct strbuf metric;
    strbuf_init(&metric, LIMIT_CONFIG_BYTES);
    append_metric_key(&metric, row->metric, row->extraction);
    json_next_item(out);
    strbuf_append_str(out, "\n{");
    json_member_str(out, "task", row->name);
    json_member_bool(out, "is_group", row->is_group);
    json_member_int(out, "depth", row->depth);
    json_member_str(out, "version", row->version);
    json_member_str(out, "profile", row->profile);
    json_member_int(out, "num_fewshot", row->num_fewshot);
    json_member_str(out, "key", metric.data);
    json_member_str(out, "metric", row->metric);
    json_member_str(out, "extraction", row->extraction);
    json_member_bool(out, "is_headline", row->is_headline);
    json_member_direction(out, "higher_is_better", row->direction);
    json_member_int(out, "n_tasks", row->n_tasks);
    json_member_int(out, "n", row->n_docs);
    json_member_int(out, "n_replies", row->n_total);
    append_column(out, "off", &row->off, row->is_group);
    append_shadow(out, row);
    append_column(out, "enforce", &row->enforce, row->is_group);
    json_member_int(out, "blocked_input", row->blocked_input);
    json_member_int(out, "blocked_output", row->blocked_output);
    json_member_int(out, "disputed", row->disputed);
    json_member_int(out, "cut_prompts", row->cut_prompts);
    json_member_key(out, "outcomes");
    strbuf_append_char(out, '{');
    for (int o = 0; o < OUTCOMES; o++)
        if (row->outcomes[o]) json_member_int(out, outcome_name((enum outcome)o), row->outcomes[o]);
    strbuf_append_str(out, "}}");
    strbuf_release(&metric);
}

static void append_seeds(struct strbuf *out, const struct shot_seeds_row *row)
{
    json_next_item(out);
    strbuf_append_char(out, '{');
    json_member_str(out, "name", row->name);
    json_member_str(out, "metric", row->metric);
    json_member_str(out, "extraction", row->extraction);
    json_member_int(out, "n_seeds", row->n_seeds);
    json_member_int(out, "n_docs", row->n_docs);
    json_member_number(out, "mean", row->score.mean);
    json_member_number(out, "stderr", row->score.stderror);
    json_member_number(out, "seed_deviation", row->score.deviation);
    strbuf_append_char(out, '}');
}

void report_table_json(const struct score_table *table, struct strbuf *out)
{
    strbuf_append_str(out, "{");
    json_member_key(out, "run");
    append_run(out, &table->run);
    json_member_number(out, "coverage_floor", table->coverage_floor);
    json_member_bool(out, "complete", score_table_complete(table));
    json_member_key(out, "samples");
    strbuf_append_char(out, '{');
    for (int s = 0; s < SAMPLE_STATES; s++)
        json_member_int(out, sample_state_name((enum sample_state)s), table->samples[s]);
    strbuf_append_char(out, '}');
    json_member_key(out, "rows");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < table->n_rows; i++) append_row(out, &table->rows[i]);
    strbuf_append_str(out, "\n]");
    json_member_key(out, "shot_seeds");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < table->n_seeds; i++) append_seeds(out, &table->seeds[i]);
    strbuf_append_str(out, "]}\n");
}

/* ---- Two runs ---- */

static void append_comparison_row(struct strbuf *out, const struct comparison_row *row)
{
    json_next_item(out);
    strbuf_append_str(out, "\n{");
    json_member_str(out, "task", row->name);
    json_member_bool(out, "is_group", row->is_group);
    json_member_str(out, "metric", row->metric);
    json_member_str(out, "extraction", row->extraction);
    json_member_direction(out, "higher_is_better", row->direction);
    json_member_str(out, "refused", row->refusal);
    if (!row->refusal) {
        json_member_int(out, "n_pairs", row->n_pairs);
        json_member_number(out, "a", row->mean_a);
        json_member_number(out, "b", row->mean_b);
        json_member_number(out, "coverage_a", row->coverage_a);
        json_member_number(out, "coverage_b", row->coverage_b);
        json_member_number(out, "difference", row->difference.mean);
        json_member_number(out, "stderr", row->difference.stderror);
        json_member_number(out, "low", row->difference.interval.low);
        json_member_number(out, "high", row->difference.interval.high);
        json_member_int(out, "changed", row->n_changed);
        json_member_int(out, "both", row->is_binary ? row->both : STORE_UNKNOWN);
        json_member_int(out, "a_only", row->is_binary ? row->a_only : STORE_UNKNOWN);
        json_member_int(out, "b_only", row->is_binary ? row->b_only : STORE_UNKNOWN);
        json_member_int(out, "neither", row->is_binary ? row->neither : STORE_UNKNOWN);
        json_member_number(out, "p", row->p);
    }
    strbuf_append_char(out, '}');
}

void report_comparison_json(const struct comparison *comparison, struct strbuf *out)
{
    strbuf_append_char(out, '{');
    json_member_key(out, "a");
    append_run(out, &comparison->a->run);
    json_member_key(out, "b");
    append_run(out, &comparison->b->run);
    json_member_str(out, "column", score_choice_name(comparison->column));
    json_member_number(out, "confidence", comparison->confidence);
    json_member_key(out, "rows");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < comparison->n_rows; i++)
        append_comparison_row(out, &comparison->rows[i]);
    strbuf_append_str(out, "\n]}\n");
}

/* ---- The gate ---- */

static void append_test(struct strbuf *out, const struct gate_test *test)
{
    strbuf_append_char(out, '{');
    json_member_str(out, "task", test->name);
    json_member_str(out, "metric", test->metric);
    json_member_str(out, "extraction", test->extraction);
    json_member_str(out, "verdict", gate_verdict_name(test->verdict));
    json_member_str(out, "reason", test->reason);
    json_member_number(out, "margin", test->margin);
    json_member_number(out, "drop", test->drop);
    json_member_number(out, "drop_bound", test->drop_bound);
    json_member_number(out, "p", test->p);
    json_member_number(out, "p_adjusted", test->p_adjusted);
    json_member_bool(out, "alert", test->alert);
    strbuf_append_char(out, '}');
}

void report_gate_json(const struct gate_result *result, struct strbuf *out)
{
    strbuf_append_char(out, '{');
    json_member_str(out, "verdict", gate_verdict_name(result->verdict));
    json_member_str(out, "baseline", result->comparison->a->run.id);
    json_member_str(out, "candidate", result->comparison->b->run.id);
    json_member_str(out, "column", score_choice_name(result->comparison->column));
    json_member_number(out, "alpha", result->alpha);
    json_member_number(out, "coverage_floor", result->coverage_floor);
    json_member_key(out, "overall");
    if (result->has_overall)
        append_test(out, &result->overall);
    else
        strbuf_append_str(out, "null");
    json_member_key(out, "tests");
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < result->n_tests; i++) {
        json_next_item(out);
        strbuf_append_char(out, '\n');
        append_test(out, &result->tests[i]);
    }
    strbuf_append_str(out, "\n]}\n");
}
