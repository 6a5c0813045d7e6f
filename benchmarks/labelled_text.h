/* labelled_text.h - texts with labels, from CSV, TSV or JSON Lines (plain or gzip), row by row.
 *
 *   labelled_text_open() -> labelled_text_next() until there is none -> labelled_text_free()
 *
 * A column of a CSV or TSV file is named by its first row, or by number from 0 ("0") when the file
 * has no header.  A column of a JSON line is a member, or a member's member ("prompt.toxicity").
 * A cell is a text, a number, or not there: null, an empty field and a missing member are the same.
 *
 *   struct labelled_text *rows;
 *   if (labelled_text_open(&rows, path, true, st) != STATUS_OK) ...
 *   while ((code = labelled_text_next(rows, &more, st)) == STATUS_OK && more)
 *       code = labelled_text_cell(rows, "toxicity", &cell, st);
 *   labelled_text_free(rows);
 */
#ifndef ASSAY_LABELLED_TEXT_H
#define ASSAY_LABELLED_TEXT_H

#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/text.h"

struct labelled_text; /* opaque */

enum cell_kind { CELL_ABSENT, CELL_TEXT, CELL_NUMBER };

struct labelled_cell {
    enum cell_kind kind;
    struct text text; /* of a text, and of a number in a CSV file; valid until the next row */
    double number;    /* of a number, and of a text that is one */
    bool is_number;
};

/* The format follows from the name: .csv, .tsv, .jsonl or .json, and .gz behind each. */
status_code labelled_text_open(struct labelled_text **out, const char *path, bool has_header,
                               struct status *st) MUST_CHECK;
void labelled_text_free(struct labelled_text *rows);

/* Goes to the next row; *more is false after the last. */
status_code labelled_text_next(struct labelled_text *rows, bool *more,
                               struct status *st) MUST_CHECK;

/* Whether a table has such a column, or the current JSON line such a member. */
bool labelled_text_has_column(const struct labelled_text *rows, const char *column);

/* A cell of the current row.  A column that a table's header does not name is an error. */
status_code labelled_text_cell(const struct labelled_text *rows, const char *column,
                               struct labelled_cell *out, struct status *st) MUST_CHECK;

/* Of the file as stored. */
const char *labelled_text_sha256(const struct labelled_text *rows);

/* Puts "path: line N" in front of a failure. */
status_code labelled_text_prefix(const struct labelled_text *rows, struct status *st);

#endif
