/* report_table.h - the parts of the benchmark table that every format shares. */
#ifndef ASSAY_REPORT_TABLE_H
#define ASSAY_REPORT_TABLE_H

#include "reports/report_grid.h"
#include "reports/scores.h"

/* Fills a grid with the rows of a table; the caller releases it. */
void table_fill_grid(const struct score_table *table, struct report_grid *grid);

/* Visits what a run says about itself, as label and text, leaving out what is unknown. */
typedef void table_fact(void *user, const char *label, struct text value);
void table_each_fact(const struct score_table *table, table_fact *fact, void *user);

/* One line per task whose replies ended otherwise than correct or wrong, and one for samples that
 * are not done: "gsm8k exact_match,strict-match: 12 extraction_failed, 3 truncated". */
void table_each_note(const struct score_table *table, table_fact *note, void *user);

/* Appends how the replies of one row ended otherwise than correct or wrong, what another extraction
 * judges otherwise and what was cut: "12 extraction_failed, 3 truncated"; nothing where all is
 * plain. */
void append_endings(struct strbuf *out, const struct score_row *row);

/* The row of a task or group and a metric; NULL where the table has none. */
const struct score_row *table_find_row(const struct score_table *table, const char *name,
                                       const char *metric, const char *extraction);

/* An arrow, or a dash where neither more nor less is better. */
const char *direction_mark(enum metric_direction direction);

/* "acc", or "exact_match,strict-match" where there is an extraction. */
void append_metric_key(struct strbuf *out, const char *metric, const char *extraction);

#endif
