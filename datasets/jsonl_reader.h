/* jsonl_reader.h - JSON Lines to objects, one after the other.
 *
 *   bytes -> jsonl_reader_next() -> an object that the caller frees -> NULL after the last
 *
 * Empty lines are skipped, and the last line needs no newline.  Errors name the file and the line;
 * jsonl_reader_prefix() adds both to what a field of the current object was wrong about.
 *
 *   struct jsonl_reader reader = jsonl_reader_start(path, bytes);
 *   while ((code = jsonl_reader_next(&reader, &object, st)) == STATUS_OK && object) {
 *       if (json_get_text(object, "question", &text, st) != STATUS_OK)
 *           code = jsonl_reader_prefix(&reader, st);
 *       json_free(object);
 */
#ifndef ASSAY_JSONL_READER_H
#define ASSAY_JSONL_READER_H

#include "engine/base/json.h"

struct jsonl_reader {
    const char *path; /* what messages call the bytes */
    struct text rest;
    size_t line; /* of the object that was read last, from 1 */
};

/* `path` and `bytes` must outlive the reader. */
struct jsonl_reader jsonl_reader_start(const char *path, struct text bytes);

/* The next object; *out is NULL after the last one, and after a failure. */
status_code jsonl_reader_next(struct jsonl_reader *reader, struct json_value **out,
                              struct status *st) MUST_CHECK;

/* Puts "path: line N" in front of a failure. */
status_code jsonl_reader_prefix(const struct jsonl_reader *reader, struct status *st);

#endif
