/* table_reader.h - CSV and TSV to rows of fields.
 *
 *   bytes -> table_reader_next() -> a row, until one has no fields
 *
 * CSV is RFC 4180 as Python's csv module reads it: fields in quotes may hold delimiters, newlines
 * and doubled quotes; a quote inside an unquoted field is a character; rows end with LF, CRLF or
 * CR, and the last one needs no end.  TSV has no quoting: a field is what stands between tabs.
 * Empty lines are skipped and a byte order mark in front is dropped.  Stricter than Python: a quote
 * that is never closed, a NUL byte and invalid UTF-8 are errors.
 *
 *   struct table_reader *reader;
 *   if (table_reader_create(&reader, TABLE_CSV, path, bytes, st) != STATUS_OK) ...
 *   while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) ...
 *   table_reader_free(reader);
 */
#ifndef ASSAY_TABLE_READER_H
#define ASSAY_TABLE_READER_H

#include "engine/base/status.h"
#include "engine/base/text.h"

enum table_kind { TABLE_CSV, TABLE_TSV };

struct table_reader; /* opaque */

struct table_row {
    size_t line;               /* where it begins, from 1 */
    const struct text *fields; /* valid until the next call */
    size_t n_fields;           /* 0 after the last row */
};

/* `path` and `bytes` must outlive the reader. */
status_code table_reader_create(struct table_reader **out, enum table_kind kind, const char *path,
                                struct text bytes, struct status *st) MUST_CHECK;
void table_reader_free(struct table_reader *reader);

/* Errors name the file, the line and the field. */
status_code table_reader_next(struct table_reader *reader, struct table_row *row,
                              struct status *st) MUST_CHECK;

#endif
