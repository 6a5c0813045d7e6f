/* dataset.h - where samples come from, and the proof of which samples they were.
 *
 *   dataset name + lookup -> dataset_open() -> dataset_read() many times -> bytes, hashed
 *
 * A `dataset` is one folder of files ("mmlu", "gsm8k") in a data directory.  It remembers every
 * file that was read and its SHA-256, compares them with the manifest that this program carries
 * (datasets/manifests/), and owns an arena in which readers keep their samples.
 *
 *   struct dataset *data;
 *   struct strbuf bytes;
 *   if (dataset_open(&data, &(struct dataset_lookup){.data_dir = dir}, "gsm8k", st) ...
 *   if (dataset_read(data, "test.jsonl", &bytes, st) != STATUS_OK) ...
 *   dataset_sha256(data, hex);
 *   dataset_free(data);
 *
 * The data directory is the first of: the one the caller names; $ASSAY_DATA;
 * $XDG_CACHE_HOME/assay/datasets or ~/.cache/assay/datasets, if it has a folder of that name; the
 * demo samples.  A directory that was named, by option or variable, and lacks the files is an
 * error: samples of another origin are never used in its place.
 */
#ifndef ASSAY_DATASET_H
#define ASSAY_DATASET_H

#include "datasets/manifest.h"
#include "engine/base/arena.h"
#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct dataset; /* opaque */

struct dataset_lookup {
    const char *data_dir; /* --data; NULL when it was not given */
    const char *demo_dir; /* where the demo samples are; NULL when there are none */
};

enum dataset_origin { DATASET_NAMED, DATASET_ENVIRONMENT, DATASET_CACHE, DATASET_DEMO };
const char *dataset_origin_name(enum dataset_origin origin);

/* Finds the directory.  Fails with STATUS_NOT_FOUND, saying where it looked. */
status_code dataset_open(struct dataset **out, const struct dataset_lookup *lookup,
                         const char *name, struct status *st) MUST_CHECK;
void dataset_free(struct dataset *dataset);

/* The data directory that a fetched dataset belongs into, in the arena: the first of the caller's,
 * $ASSAY_DATA and the cache.  NULL where there is none. */
const char *dataset_directory_to_fill(struct arena *arena, const char *data_dir);

const char *dataset_directory(const struct dataset *dataset); /* DIR, without the dataset's name */
enum dataset_origin dataset_origin(const struct dataset *dataset);
struct arena *dataset_arena(struct dataset *dataset);

/* A file's name below the dataset's folder, in the arena; NULL: out of memory. */
const char *dataset_name_file(struct dataset *dataset, const char *format, ...) PRINTF_LIKE(2, 3);

/* The path of such a file, in the arena: what messages name.  NULL: out of memory. */
const char *dataset_path(struct dataset *dataset, const char *relative);

/* Whether the file, or the same with ".gz", is there. */
bool dataset_has(struct dataset *dataset, const char *relative);

/* Initialises `out` and reads a file into it, unpacked where it is stored as gzip; the caller
 * releases it, also after a failure. */
status_code dataset_read(struct dataset *dataset, const char *relative, struct strbuf *out,
                         struct status *st) MUST_CHECK;

/* The names that DIR/manifest.json lists under `key`, NULL-terminated and in the arena; *out is
 * NULL when the file or the key is not there. */
status_code dataset_listed(struct dataset *dataset, const char *key, const char *const **out,
                           struct status *st) MUST_CHECK;

/* Room for one more item behind `count` of them, in the arena: returns `items`, or a larger copy
 * when they are full.  Start with NULL and 0; NULL means out of memory. */
void *dataset_grow(struct dataset *dataset, void *items, size_t count, size_t item_size);

/* SHA-256 over one line for each file read, in byte order of its path below DIR: the file's own
 * digest as stored, two spaces, the path, a newline.  It is what
 * `cd DIR && LC_ALL=C sha256sum FILES | sha256sum` prints for sorted FILES. */
status_code dataset_sha256(const struct dataset *dataset, char hex[SHA256_HEX_SIZE],
                           struct status *st) MUST_CHECK;

/* How the files read so far compare with the manifest; the demo samples are in none. */
enum manifest_match dataset_matches_manifest(const struct dataset *dataset);

#endif
