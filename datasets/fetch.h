/* fetch.h - the files of a dataset, from the addresses in its manifest, checked before they count.
 *
 *   manifest + directory -> fetch_dataset() -> DIR/NAME/ holds the files, FETCHED.json says so
 *
 * Every address is pinned: what comes from it counts only with the SHA-256 that the manifest names,
 * so it does not matter which mirror it came from.  Of an archive the files of some folders are
 * taken; where they go is made up here, of a folder of the manifest and a plain name, and never
 * leaves DIR/NAME/.  Files that are there are checked, and not asked for again.
 *
 *   struct fetch_options options = {.directory = dir, .listener = &listener};
 *   if (fetch_dataset(manifest_json(manifest), &options, &result, st) != STATUS_OK) ...
 */
#ifndef ASSAY_FETCH_H
#define ASSAY_FETCH_H

#include "engine/base/fetched_file.h"
#include "engine/base/json.h"

struct fetch_options {
    const char *directory;
    const char *endpoint; /* stands for scheme and host of every address: a mirror; or NULL */
    const struct fetch_listener *listener;
};

struct fetch_result {
    int n_files;   /* that the dataset has now */
    int n_fetched; /* of them, now */
    int64_t bytes; /* that came */
};

/* STATUS_UNSUPPORTED: the manifest names no address; the message says where the files are from. */
status_code fetch_dataset(const struct json_value *manifest, const struct fetch_options *options,
                          struct fetch_result *out, struct status *st) MUST_CHECK;

/* What was fetched, from where, under which licence and when: FETCHED.json in its folder.  Used for
 * models too. */
struct fetch_record {
    const char *folder; /* DIR/NAME */
    struct text name, source, licence;
    const char *revision; /* or NULL */
    struct strbuf files;  /* items of a JSON array, added by fetch_record_file() */
};
void fetch_record_file(struct fetch_record *record, const char *path, const char *url,
                       const char *sha256, int64_t bytes);
status_code fetch_record_write(const struct fetch_record *record, struct status *st) MUST_CHECK;

#endif
