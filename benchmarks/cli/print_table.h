/* print_table.h - runs of a store to the benchmark table on stdout. */
#ifndef ASSAY_CLI_PRINT_TABLE_H
#define ASSAY_CLI_PRINT_TABLE_H

#include <stddef.h>

#include "reports/results_store.h"

enum table_format { TABLE_TEXT, TABLE_MARKDOWN, TABLE_JSON };

/* Prints the runs one after the other; *complete is false when a score is withheld or a sample is
 * not done. */
status_code print_table(struct store *store, const char *const *runs, size_t n,
                        enum table_format format, bool *complete, struct status *st) MUST_CHECK;

#endif
