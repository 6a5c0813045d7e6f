#include "reports/report_grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "reports/report_escape.h"

void report_grid_init(struct report_grid *grid, const char *const *headings, int n_columns)
{
    BUG_IF(n_columns > GRID_COLUMNS);
    *grid = (struct report_grid){.headings = headings, .n_columns = n_columns};
    strbuf_init(&grid->cells, LIMIT_REPORT_BYTES);
}

void report_grid_release(struct report_grid *grid)
{
    strbuf_release(&grid->cells);
}

void report_grid_cell(struct report_grid *grid, const char *format, ...)
{
    char cell[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    strbuf_append_str(&grid->cells, cell);
    strbuf_append_char(&grid->cells, '\0');
}

/* Visits the cells of a grid: data NULL after the last. */
struct cell_walk {
    const struct report_grid *grid;
    size_t position;
};

static struct text next_cell(struct cell_walk *walk)
{
    const struct strbuf *cells = &walk->grid->cells;
    if (walk->position >= cells->length) return (struct text){0};
    struct text cell = text_of(cells->data + walk->position);
    walk->position += cell.length + 1;
    return cell;
}

static bool right_aligned(const struct report_grid *grid, int column)
{
    return grid->headings[column][0] == '>';
}

static struct text heading(const struct report_grid *grid, int column)
{
    return text_of(grid->headings[column] + right_aligned(grid, column));
}

/* Widths in characters; 0 for a column that is empty in every row. */
static void measure(const struct report_grid *grid, size_t width[GRID_COLUMNS])
{
    struct cell_walk walk = {.grid = grid};
    for (int c = 0; c < grid->n_columns; c++) width[c] = 0;
    for (int c = 0;; c = (c + 1) % grid->n_columns) {
        struct text cell = next_cell(&walk);
        if (!cell.data) break;
        size_t n = utf8_count(cell);
        if (n > width[c]) width[c] = n;
    }
    for (int c = 0; c < grid->n_columns; c++) {
        size_t n = utf8_count(heading(grid, c));
        if (width[c] && width[c] < n) width[c] = n;
    }
}

static void pad(struct strbuf *out, size_t n)
{
    while (n--) strbuf_append_char(out, ' ');
}

static void padded(struct strbuf *out, struct text cell, size_t width, bool right)
{
    size_t n = utf8_count(cell);
    if (right && n < width) pad(out, width - n);
    escape_line(out, cell);
    if (!right && n < width) pad(out, width - n);
}

/* Ends a line of text without blanks at its end. */
static void end_line(struct strbuf *out)
{
    while (out->length && out->data[out->length - 1] == ' ') strbuf_truncate(out, out->length - 1);
    strbuf_append_char(out, '\n');
}

void report_grid_text(const struct report_grid *grid, struct strbuf *out)
{
    size_t width[GRID_COLUMNS];
    struct cell_walk walk = {.grid = grid};
    measure(grid, width);
    for (int c = 0; c < grid->n_columns; c++) {
        if (!width[c]) continue;
        padded(out, heading(grid, c), width[c], right_aligned(grid, c));
        strbuf_append_str(out, "  ");
    }
    end_line(out);
    for (int c = 0;; c = (c + 1) % grid->n_columns) {
        struct text cell = next_cell(&walk);
        if (!cell.data) break;
        if (width[c]) {
            padded(out, cell, width[c], right_aligned(grid, c));
            strbuf_append_str(out, "  ");
        }
        if (c == grid->n_columns - 1) end_line(out);
    }
}

/* Markdown drops blanks in front of a cell, so that an indented name needs ones it keeps. */
static void markdown_cell(struct strbuf *out, struct text cell)
{
    strbuf_append_char(out, ' ');
    for (; cell.length && *cell.data == ' '; cell.data++, cell.length--)
        strbuf_append_str(out, "&nbsp;");
    escape_markdown(out, cell);
    strbuf_append_str(out, " |");
}

void report_grid_markdown(const struct report_grid *grid, struct strbuf *out)
{
    size_t width[GRID_COLUMNS];
    struct cell_walk walk = {.grid = grid};
    measure(grid, width);
    strbuf_append_char(out, '|');
    for (int c = 0; c < grid->n_columns; c++)
        if (width[c]) markdown_cell(out, heading(grid, c));
    strbuf_append_str(out, "\n|");
    for (int c = 0; c < grid->n_columns; c++)
        if (width[c]) strbuf_append_str(out, right_aligned(grid, c) ? "---:|" : "---|");
    strbuf_append_char(out, '\n');
    for (int c = 0;; c = (c + 1) % grid->n_columns) {
        struct text cell = next_cell(&walk);
        if (!cell.data) break;
        if (c == 0) strbuf_append_char(out, '|');
        if (width[c]) markdown_cell(out, cell);
        if (c == grid->n_columns - 1) strbuf_append_char(out, '\n');
    }
}

static void html_cell(const struct report_grid *grid, struct strbuf *out, const char *element,
                      int column, struct text cell)
{
    strbuf_appendf(out, "<%s%s>", element, right_aligned(grid, column) ? " class=\"n\"" : "");
    for (; cell.length && *cell.data == ' '; cell.data++, cell.length--)
        strbuf_append_str(out, "&nbsp;");
    escape_html(out, cell);
    strbuf_appendf(out, "</%s>", element);
}

void report_grid_html(const struct report_grid *grid, struct strbuf *out)
{
    size_t width[GRID_COLUMNS];
    struct cell_walk walk = {.grid = grid};
    measure(grid, width);
    strbuf_append_str(out, "<div class=\"wide\"><table>\n<tr>");
    for (int c = 0; c < grid->n_columns; c++)
        if (width[c]) html_cell(grid, out, "th", c, heading(grid, c));
    strbuf_append_str(out, "</tr>\n");
    for (int c = 0;; c = (c + 1) % grid->n_columns) {
        struct text cell = next_cell(&walk);
        if (!cell.data) break;
        if (c == 0) strbuf_append_str(out, "<tr>");
        if (width[c]) html_cell(grid, out, "td", c, cell);
        if (c == grid->n_columns - 1) strbuf_append_str(out, "</tr>\n");
    }
    strbuf_append_str(out, "</table></div>\n");
}
