/* report_grid.h - cells in rows, printed as aligned text, Markdown or HTML.
 *
 *   report_grid_init() -> report_grid_cell() row by row -> report_grid_text|markdown|html()
 *
 * A grid keeps its cells in one strbuf, each ended by a NUL, and so copies what it is given; NULs
 * in a cell are dropped.  Columns whose heading starts with '>' are aligned to the right.  A column
 * that is empty in every row is not printed.
 */
#ifndef ASSAY_REPORT_GRID_H
#define ASSAY_REPORT_GRID_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define GRID_COLUMNS 16

struct report_grid {
    const char *const *headings;
    int n_columns;
    struct strbuf cells;
};

void report_grid_init(struct report_grid *grid, const char *const *headings, int n_columns);
void report_grid_release(struct report_grid *grid);

/* Appends the next cell; rows follow from the number of columns. */
void report_grid_cell(struct report_grid *grid, const char *format, ...) PRINTF_LIKE(2, 3);

void report_grid_text(const struct report_grid *grid, struct strbuf *out);
void report_grid_markdown(const struct report_grid *grid, struct strbuf *out);
void report_grid_html(const struct report_grid *grid, struct strbuf *out);

#endif
