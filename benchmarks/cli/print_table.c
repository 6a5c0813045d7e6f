#include "benchmarks/cli/print_table.h"

#include "benchmarks/cli/cli.h"
#include "engine/base/limits.h"
#include "reports/report.h"

static void (*const renderers[])(const struct score_table *, struct strbuf *) = {
    [TABLE_TEXT] = report_table_text,
    [TABLE_MARKDOWN] = report_table_markdown,
    [TABLE_JSON] = report_table_json,
};

status_code print_table(struct store *store, const char *const *runs, size_t n,
                        enum table_format format, bool *complete, struct status *st)
{
    struct strbuf out;
    strbuf_init(&out, LIMIT_REPORT_BYTES);
    status_code code = STATUS_OK;
    *complete = true;
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        struct score_table *table;
        code = score_table_load(&table, store, runs[i], SCORE_COVERAGE_FLOOR, st);
        if (code != STATUS_OK) break;
        if (i) strbuf_append_char(&out, '\n');
        renderers[format](table, &out);
        if (!score_table_complete(table)) *complete = false;
        score_table_free(table);
    }
    if (code == STATUS_OK) code = strbuf_check(&out, "the table", st);
    if (code == STATUS_OK) code = cli_write(&out, st);
    strbuf_release(&out);
    return code;
}
