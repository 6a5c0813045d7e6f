/* manifest.h - what the official files of a dataset are.
 *
 *   dataset name -> manifest_open() -> path -> manifest_compare() -> same, different, unknown
 *
 * A `manifest` is one file of datasets/manifests/, which this program carries inside itself:
 * source, licence, splits with their row counts, SHA-256 of every file, rows known to be bad.
 *
 *   struct manifest *manifest;
 *   if (manifest_open(&manifest, "gsm8k", st) != STATUS_OK) ...
 *   match = manifest_compare(manifest, "gsm8k/test.jsonl", digest);
 *   manifest_free(manifest);
 */
#ifndef ASSAY_MANIFEST_H
#define ASSAY_MANIFEST_H

#include "engine/base/json.h"

struct manifest; /* opaque */

enum manifest_match {
    MANIFEST_UNKNOWN,  /* no manifest knows these files */
    MANIFEST_SAME,     /* every file read is the official one, byte for byte */
    MANIFEST_DIFFERENT /* at least one is not */
};

/* *out is NULL when there is no manifest of that name. */
status_code manifest_open(struct manifest **out, const char *name, struct status *st) MUST_CHECK;
void manifest_free(struct manifest *manifest);

/* `path` is below the data directory: "mmlu/test/anatomy_test.csv". */
enum manifest_match manifest_compare(const struct manifest *manifest, const char *path,
                                     const char *sha256);

/* The whole manifest, for `list datasets`; lives as long as `manifest`. */
const struct json_value *manifest_json(const struct manifest *manifest);

/* The manifests there are, from index 0; NULL after the last. */
const char *manifest_name_at(size_t index);

#endif
