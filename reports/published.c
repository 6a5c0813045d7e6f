#include "reports/published.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "reports/report_grid.h"

extern const struct text embedded_reports_published_benchmarks_json;
extern const struct text embedded_reports_published_guards_json;

static const struct {
    const char *name;
    const struct text *json;
} files[] = {
    {"benchmarks", &embedded_reports_published_benchmarks_json},
    {"guards", &embedded_reports_published_guards_json},
};

struct published {
    struct arena arena;
    struct published_row *rows;
    size_t n;
    const char *note;
};

/* ---- reading ---- */

static status_code keep(struct published *p, const struct json_value *object, const char *key,
                        const char **out, struct status *st)
{
    struct text text;
    status_code code = json_get_text(object, key, &text, st);
    if (code != STATUS_OK) return code;
    *out = arena_strndup(&p->arena, text.data, text.length);
    return *out ? STATUS_OK : status_no_memory(st, "published figures");
}

static status_code read_row(struct published *p, const struct json_value *json,
                            const struct json_value *sources, struct published_row *row,
                            struct status *st)
{
    const char *source;
    status_code code;
    row->protocol = "";
    if ((code = keep(p, json, "model", &row->model, st)) != STATUS_OK ||
        (code = keep(p, json, "set", &row->set, st)) != STATUS_OK ||
        (code = keep(p, json, "metric", &row->metric, st)) != STATUS_OK ||
        (code = keep(p, json, "source", &source, st)) != STATUS_OK ||
        (code = json_get_double(json, "value", &row->value, st)) != STATUS_OK)
        return code;
    if (json_has(json, "protocol")) code = keep(p, json, "protocol", &row->protocol, st);
    if (code == STATUS_OK) code = keep(p, sources, source, &row->source, st);
    return code == STATUS_OK || json_has(sources, source)
               ? code
               : status_set(st, STATUS_BAD_INPUT, "field \"source\": \"%.64s\" is not in sources",
                            source);
}

static status_code read_figures(struct published *p, const struct json_value *root,
                                struct status *st)
{
    const struct json_value *rows, *sources;
    status_code code;
    if ((code = keep(p, root, "note", &p->note, st)) != STATUS_OK ||
        (code = json_get_object(root, "sources", &sources, st)) != STATUS_OK ||
        (code = json_get_array(root, "rows", &rows, st)) != STATUS_OK)
        return code;
    p->rows = arena_array(&p->arena, json_count(rows) + 1, sizeof *p->rows);
    if (!p->rows) return status_no_memory(st, "published figures");
    for (const struct json_value *v = json_first(rows); v; v = json_next(v), p->n++)
        if (read_row(p, v, sources, &p->rows[p->n], st) != STATUS_OK)
            return status_prefix(st, "field \"rows\"[%zu]", p->n);
    return STATUS_OK;
}

status_code published_parse(struct published **out, struct text json, const char *source,
                            struct status *st)
{
    struct json_value *root = NULL;
    struct published *p = calloc(1, sizeof *p);
    if (!p) return status_no_memory(st, "published figures");
    arena_init(&p->arena, LIMIT_CONFIG_BYTES);
    status_code code = json_parse(&root, json, st);
    if (code == STATUS_OK) {
        code = read_figures(p, root, st);
        json_free(root);
    }
    if (code != STATUS_OK) {
        published_free(p);
        return status_prefix(st, "%s", source);
    }
    *out = p;
    return STATUS_OK;
}

status_code published_load(struct published **out, const char *name, struct status *st)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(files[i].name, name) == 0) return published_parse(out, *files[i].json, name, st);
    return status_set(st, STATUS_USAGE, "no published figures are named \"%.40s\"", name);
}

void published_free(struct published *p)
{
    if (!p) return;
    arena_release(&p->arena);
    free(p);
}

size_t published_count(const struct published *p)
{
    return p->n;
}

const struct published_row *published_at(const struct published *p, size_t index)
{
    return index < p->n ? &p->rows[index] : NULL;
}

const char *published_note(const struct published *p)
{
    return p->note;
}

/* ---- saying it ---- */

static bool is_wanted(const struct published_row *row, const char *const *sets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(row->set, sets[i]) == 0) return true;
    return n == 0;
}

/* Sources are numbered in the order of their first row; the row's number here. */
static size_t source_number(const struct published *p, const char *const *sets, size_t n,
                            size_t row, bool *is_first)
{
    size_t number = 0;
    *is_first = false;
    for (size_t i = 0; i <= row; i++) {
        bool known = false;
        if (!is_wanted(&p->rows[i], sets, n)) continue;
        for (size_t k = 0; k < i && !known; k++)
            known = is_wanted(&p->rows[k], sets, n) &&
                    strcmp(p->rows[k].source, p->rows[i].source) == 0;
        if (!known) number++;
        if (!known && strcmp(p->rows[i].source, p->rows[row].source) == 0) {
            *is_first = i == row;
            return number;
        }
    }
    return number;
}

void published_append_table(const struct published *p, const char *const *sets, size_t n,
                            struct strbuf *out)
{
    static const char *const headings[] = {"Published: set", "Model",  "Metric",
                                           ">Value",         "Source", "Protocol"};
    struct report_grid grid;
    bool is_first, any = false;
    report_grid_init(&grid, headings, sizeof headings / sizeof headings[0]);
    for (size_t i = 0; i < p->n; i++) {
        const struct published_row *row = &p->rows[i];
        if (!is_wanted(row, sets, n)) continue;
        any = true;
        report_grid_cell(&grid, "%s", row->set);
        report_grid_cell(&grid, "%s", row->model);
        report_grid_cell(&grid, "%s", row->metric);
        report_grid_cell(&grid, "%.4g", row->value);
        report_grid_cell(&grid, "[%zu]", source_number(p, sets, n, i, &is_first));
        report_grid_cell(&grid, "%s", row->protocol);
    }
    if (any) report_grid_text(&grid, out);
    report_grid_release(&grid);
    for (size_t i = 0; i < p->n; i++) {
        if (!is_wanted(&p->rows[i], sets, n)) continue;
        size_t number = source_number(p, sets, n, i, &is_first);
        if (is_first) strbuf_appendf(out, "[%zu] %s\n", number, p->rows[i].source);
    }
    if (any) strbuf_appendf(out, "%s\n", p->note);
}

static void member(struct strbuf *out, const char *key, const char *value)
{
    strbuf_appendf(out, "\"%s\": ", key);
    json_append_str(out, value);
    strbuf_append_str(out, ", ");
}

void published_append_json(const struct published *p, const char *const *sets, size_t n,
                           struct strbuf *out)
{
    bool any = false;
    strbuf_append_char(out, '[');
    for (size_t i = 0; i < p->n; i++) {
        const struct published_row *row = &p->rows[i];
        if (!is_wanted(row, sets, n)) continue;
        strbuf_append_str(out, any ? ", {" : "{");
        any = true;
        member(out, "model", row->model);
        member(out, "set", row->set);
        member(out, "protocol", row->protocol);
        member(out, "metric", row->metric);
        strbuf_append_str(out, "\"value\": ");
        json_append_number(out, row->value);
        strbuf_append_str(out, ", ");
        strbuf_append_str(out, "\"source\": ");
        json_append_str(out, row->source);
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}
