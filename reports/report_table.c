/* report_table.c - the benchmark table as text and as Markdown. */
#include "reports/report_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/limits.h"
#include "reports/report.h"
#include "reports/report_escape.h"

#define CELL_BYTES 160

void append_metric_key(struct strbuf *out, const char *metric, const char *extraction)
{
    strbuf_append_str(out, metric);
    if (strcmp(extraction, STORE_NO_EXTRACTION) != 0) strbuf_appendf(out, ",%s", extraction);
}

const char *direction_mark(enum metric_direction direction)
{
    static const char *const marks[] = {"\u2193", "\u2191", "-"};
    return marks[direction];
}

/* ---- Cells ---- */

static void format_value(char cell[CELL_BYTES], const struct score_column *column)
{
    if (column->state == SCORE_NO_GUARD)
        cell[0] = '\0';
    else if (column->state != SCORE_KNOWN)
        snprintf(cell, CELL_BYTES, "%s", column->state == SCORE_WITHHELD ? "withheld" : "unknown");
    else if (isnan(column->stderror))
        snprintf(cell, CELL_BYTES, "%.4f", column->value);
    else
        snprintf(cell, CELL_BYTES, "%.4f \u00b1 %.4f", column->value, column->stderror);
}

/* The raw score beside the blocks that were only counted. */
static void format_shadow(char cell[CELL_BYTES], const struct score_row *row)
{
    cell[0] = '\0';
    if (row->enforce.state == SCORE_NO_GUARD) return;
    int64_t blocks = row->blocked_input + row->blocked_output;
    if (row->off.state == SCORE_KNOWN)
        snprintf(cell, CELL_BYTES, "%.4f (%lld)", row->off.value, (long long)blocks);
    else
        snprintf(cell, CELL_BYTES, "%s (%lld)",
                 row->off.state == SCORE_WITHHELD ? "withheld" : "unknown", (long long)blocks);
}

static void format_count(char cell[CELL_BYTES], int64_t value)
{
    if (value == STORE_UNKNOWN)
        cell[0] = '\0';
    else
        snprintf(cell, CELL_BYTES, "%lld", (long long)value);
}

static void fill_row(struct report_grid *grid, const struct score_table *table,
                     const struct score_row *row)
{
    char cell[CELL_BYTES];
    bool guarded = row->enforce.state != SCORE_NO_GUARD;
    const struct score_column *shown =
        table->run.guard_mode == GUARD_ENFORCE ? &row->enforce : &row->off;
    report_grid_cell(grid, "%*s%s", 2 * row->depth, "", row->name);
    report_grid_cell(grid, "%s%s%s", row->profile ? row->profile : "",
                     row->profile && row->version ? "@" : "", row->version ? row->version : "");
    format_count(cell, row->num_fewshot);
    report_grid_cell(grid, "%s", cell);
    report_grid_cell(grid, "%s%s%s", row->metric,
                     strcmp(row->extraction, STORE_NO_EXTRACTION) == 0 ? "" : ",",
                     strcmp(row->extraction, STORE_NO_EXTRACTION) == 0 ? "" : row->extraction);
    report_grid_cell(grid, "%s", direction_mark(row->direction));
    report_grid_cell(grid, "%lld", (long long)row->n_docs);
    report_grid_cell(grid, "%.1f%%", 100 * shown->coverage);
    format_value(cell, &row->off);
    report_grid_cell(grid, "%s", cell);
    format_shadow(cell, row);
    report_grid_cell(grid, "%s", cell);
    format_value(cell, &row->enforce);
    report_grid_cell(grid, "%s", cell);
    if (guarded)
        report_grid_cell(grid, "%lld / %lld", (long long)row->blocked_input,
                         (long long)row->blocked_output);
    else
        report_grid_cell(grid, "%s", "");
}

void table_fill_grid(const struct score_table *table, struct report_grid *grid)
{
    static const char *const plain[] = {"Task",   "Protocol", ">Shots", "Metric",  "",       ">n",
                                        ">Cover", ">Value",   "Shadow", "Enforce", "Blocked"};
    static const char *const guarded[] = {
        "Task", "Protocol",         ">Shots",   "Metric",           "", ">n", ">Cover",
        ">Off", ">Shadow (blocks)", ">Enforce", ">Blocked in / out"};
    report_grid_init(grid, table->run.guard_mode == GUARD_OFF ? plain : guarded,
                     sizeof plain / sizeof plain[0]);
    for (size_t i = 0; i < table->n_rows; i++) fill_row(grid, table, &table->rows[i]);
}

/* ---- Facts of the run ---- */

/* Appends ", label value" pieces to one line. */
static void piece(struct strbuf *line, const char *label, const char *value, int max)
{
    if (!value || !*value) return;
    if (line->length) strbuf_append_str(line, ", ");
    strbuf_appendf(line, "%s%.*s", label, max, value);
}

static void piece_int(struct strbuf *line, const char *label, int64_t value)
{
    char number[32];
    if (value == STORE_UNKNOWN) return;
    snprintf(number, sizeof number, "%lld", (long long)value);
    piece(line, label, number, 32);
}

static void tell(struct strbuf *line, const char *label, table_fact *fact, void *user)
{
    if (line->length) fact(user, label, (struct text){line->data, line->length});
    strbuf_clear(line);
}

static void tell_chat(const struct store_chat *chat, struct strbuf *line, table_fact *fact,
                      void *user)
{
    if (!chat->format) return;
    piece(line, "template ", chat->format, 64);
    piece(line, "sha256 ", chat->template_sha256 ? chat->template_sha256 : "none: named", 12);
    piece(line, "shots as ", chat->fewshot_as, 16);
    piece(line, "system message: ", chat->system, 60);
    piece(line, "system message without a place: ", chat->system_as, 16);
    if (chat->n_system_dropped)
        piece_int(line, "documents that lost theirs: ", chat->n_system_dropped);
    if (chat->n_system_in_user)
        piece_int(line, "documents with it in the user's turn: ", chat->n_system_in_user);
    tell(line, "chat", fact, user);
}

void table_each_fact(const struct score_table *table, table_fact *fact, void *user)
{
    const struct store_run *run = &table->run;
    char number[64];
    struct strbuf line;
    strbuf_init(&line, LIMIT_CONFIG_BYTES);
    piece(&line, "", run->id, 64);
    piece(&line, "", run_state_name(run->state), 16);
    piece(&line, "started ", run->started_at, 32);
    tell(&line, "run", fact, user);
    piece(&line, "of the replies of run ", run->parent, 64);
    tell(&line, "scores", fact, user);
    piece(&line, "", run->model_path, 4096);
    piece(&line, "", run->architecture, 64);
    piece(&line, "", run->quantisation, 64);
    piece(&line, "weights ", run->weights_sha256, 12);
    piece(&line, "adapter ", run->adapter, 4096);
    piece(&line, "sha256 ", run->adapter_sha256, 12);
    tell(&line, "model", fact, user);
    piece(&line, "", run->tokenizer_kind, 64);
    piece(&line, "sha256 ", run->tokenizer_sha256, 12);
    piece(&line, "bos ", run->bos_policy, 64);
    if (!run->chat.format) piece(&line, "", "no chat template", 64);
    tell(&line, "tokenizer", fact, user);
    tell_chat(&run->chat, &line, fact, user);
    piece(&line, "", run->backend, 64);
    piece(&line, "kernels ", run->kernel_set, 64);
    piece_int(&line, "threads ", run->threads);
    piece(&line, "", run->cpu, 128);
    tell(&line, "backend", fact, user);
    snprintf(number, sizeof number, "%llu", (unsigned long long)run->seed);
    piece(&line, "seed ", number, 64);
    if (!isnan(run->temperature)) {
        snprintf(number, sizeof number, "%g", run->temperature);
        piece(&line, "temperature ", number, 64);
    }
    piece_int(&line, "top_k ", run->top_k);
    if (!isnan(run->top_p)) {
        snprintf(number, sizeof number, "%g", run->top_p);
        piece(&line, "top_p ", number, 64);
    }
    piece_int(&line, "max_tokens ", run->max_tokens);
    tell(&line, "sampling", fact, user);
    piece(&line, "", guard_mode_name(run->guard_mode), 16);
    piece(&line, "policy ", run->guard_policy_sha256, 12);
    tell(&line, "guard", fact, user);
    piece(&line, "assay ", run->program_version, 64);
    piece(&line, "commit ", run->program_commit, 64);
    piece(&line, "", run->compiler, 128);
    tell(&line, "program", fact, user);
    strbuf_release(&line);
}

/* ---- Notes ---- */

static void append_ending(struct strbuf *out, size_t from, int64_t n, const char *how)
{
    if (n <= 0) return;
    strbuf_appendf(out, "%s%lld %s", out->length > from ? ", " : "", (long long)n, how);
}

void append_endings(struct strbuf *out, const struct score_row *row)
{
    size_t from = out->length;
    for (int o = OUTCOME_EXTRACTION_FAILED; o < OUTCOMES; o++)
        append_ending(out, from, row->outcomes[o], outcome_name((enum outcome)o));
    append_ending(out, from, row->disputed, "judged otherwise by another extraction");
    append_ending(out, from, row->cut_prompts, "prompts cut on the left");
}

const struct score_row *table_find_row(const struct score_table *table, const char *name,
                                       const char *metric, const char *extraction)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct score_row *row = &table->rows[i];
        if (!strcmp(row->name, name) && !strcmp(row->metric, metric) &&
            !strcmp(row->extraction, extraction ? extraction : STORE_NO_EXTRACTION))
            return row;
    }
    return NULL;
}

static void note_outcomes(const struct score_row *row, struct strbuf *line, table_fact *note,
                          void *user)
{
    struct strbuf label;
    strbuf_init(&label, LIMIT_CONFIG_BYTES);
    append_endings(line, row);
    strbuf_appendf(&label, "%s ", row->name);
    append_metric_key(&label, row->metric, row->extraction);
    tell(line, label.data, note, user);
    strbuf_release(&label);
}

static void note_seeds(const struct shot_seeds_row *row, struct strbuf *line, table_fact *note,
                       void *user)
{
    struct strbuf label;
    strbuf_init(&label, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&label, "%s ", row->name);
    append_metric_key(&label, row->metric, row->extraction);
    strbuf_appendf(line,
                   "mean %.4f over %lld shot seeds and %lld documents; standard error over "
                   "documents %.4f, standard deviation between seeds %.4f",
                   row->score.mean, (long long)row->n_seeds, (long long)row->n_docs,
                   row->score.stderror, row->score.deviation);
    tell(line, label.data, note, user);
    strbuf_release(&label);
}

void table_each_note(const struct score_table *table, table_fact *note, void *user)
{
    struct strbuf line;
    strbuf_init(&line, LIMIT_CONFIG_BYTES);
    for (size_t i = 0; i < table->n_rows; i++)
        if (!table->rows[i].is_group) note_outcomes(&table->rows[i], &line, note, user);
    for (size_t i = 0; i < table->n_seeds; i++) note_seeds(&table->seeds[i], &line, note, user);
    for (int s = 0; s < SAMPLE_STATES; s++)
        if (s != SAMPLE_DONE && table->samples[s]) {
            if (line.length) strbuf_append_str(&line, ", ");
            strbuf_appendf(&line, "%lld %s", (long long)table->samples[s],
                           sample_state_name((enum sample_state)s));
        }
    tell(&line, "samples", note, user);
    bool withheld = false, unheard = false;
    for (size_t i = 0; i < table->n_rows; i++) {
        withheld |= table->rows[i].off.state == SCORE_WITHHELD ||
                    table->rows[i].enforce.state == SCORE_WITHHELD;
        unheard |= table->rows[i].off.state == SCORE_UNHEARD;
    }
    if (withheld)
        strbuf_appendf(&line, "fewer than %g%% of the replies have a value",
                       100 * table->coverage_floor);
    tell(&line, "withheld", note, user);
    if (unheard) strbuf_append_str(&line, "the guard kept replies from being made");
    tell(&line, "unknown", note, user);
    strbuf_release(&line);
}

/* ---- Text and Markdown ---- */

static void text_fact(void *user, const char *label, struct text value)
{
    struct strbuf *out = user;
    strbuf_appendf(out, "%-10s", label);
    escape_line(out, value);
    strbuf_append_char(out, '\n');
}

static void text_note(void *user, const char *label, struct text value)
{
    struct strbuf *out = user;
    escape_line(out, text_of(label));
    strbuf_append_str(out, ": ");
    escape_line(out, value);
    strbuf_append_char(out, '\n');
}

void report_table_text(const struct score_table *table, struct strbuf *out)
{
    struct report_grid grid;
    table_each_fact(table, text_fact, out);
    strbuf_append_char(out, '\n');
    table_fill_grid(table, &grid);
    report_grid_text(&grid, out);
    report_grid_release(&grid);
    table_each_note(table, text_note, out);
}

static void markdown_item(void *user, const char *label, struct text value)
{
    struct strbuf *out = user;
    strbuf_append_str(out, "- **");
    escape_markdown(out, text_of(label));
    strbuf_append_str(out, "** ");
    escape_markdown(out, value);
    strbuf_append_char(out, '\n');
}

void report_table_markdown(const struct score_table *table, struct strbuf *out)
{
    struct report_grid grid;
    table_each_fact(table, markdown_item, out);
    strbuf_append_char(out, '\n');
    table_fill_grid(table, &grid);
    report_grid_markdown(&grid, out);
    report_grid_release(&grid);
    strbuf_append_char(out, '\n');
    table_each_note(table, markdown_item, out);
}
