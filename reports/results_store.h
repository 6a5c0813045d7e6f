/* results_store.h - every fact of a run, in one SQLite file.
 *
 *   runner -> store_put_...() -> rows          rows -> views -> table, compare, gate, html, export
 *
 * A `store` is an open file.  A `run` is one evaluation with its provenance; it has tasks, a task
 * has samples (one per document), a sample has replies (one per repeat) or choices, hazard scores,
 * guard events and verdicts.  Keys are natural (run, task, document, repeat, ...), so writing a row
 * again replaces it, and a run that was killed and resumed ends with the rows of one that was not;
 * only columns named ..._at and ..._seconds differ.
 *
 *   struct store *store;
 *   if (store_open(&store, "results.sqlite", STORE_WRITE, st) != STATUS_OK) ...
 *   store_begin();  store_create_run(); store_add_task(); store_add_samples();  store_commit();
 *   while (store_find_pending(...), n > 0) {
 *       store_begin();  store_put_sample(); store_put_reply(); store_put_verdict(); store_commit();
 *   }
 *   store_set_run_state();  store_free(store);
 *
 * What is between begin and commit is kept whole or not at all, whenever the process dies.  Every
 * store_add and store_put function needs an open batch; when one fails, the batch is rolled back.
 * Unknown is NULL: a NULL string, STORE_UNKNOWN for an integer, NAN for a number.  Texts may hold
 * any bytes.  Strings given are copied; strings loaded belong to the caller's arena.
 *
 * A store belongs to one thread at a time.  Other processes may read it while it is written.
 */
#ifndef ASSAY_RESULTS_STORE_H
#define ASSAY_RESULTS_STORE_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"
#include "engine/base/words.h"

#define STORE_UNKNOWN       INT64_MIN /* an integer that is not known: NULL in the file */
#define STORE_RUN_ID_SIZE   64        /* bytes of a run's id with its NUL */
#define STORE_NO_EXTRACTION "none"    /* the extraction of a metric that takes the reply whole */

struct store; /* opaque */

enum store_access {
    STORE_WRITE,  /* made when absent, migrated when older */
    STORE_CHANGE, /* must exist, migrated when older */
    STORE_READ    /* must exist and have this program's schema version */
};

/* A file that is not a database, is another program's, is newer than this program, or is from
 * before the first release is refused and left as it is.  ":memory:" is a store that lasts until
 * store_free(). */
status_code store_open(struct store **out, const char *path, enum store_access access,
                       struct status *st) MUST_CHECK;
void store_free(struct store *store);
const char *store_path(const struct store *store);

/* ---- Batches ---- */

status_code store_begin(struct store *store, struct status *st) MUST_CHECK;
status_code store_commit(struct store *store, struct status *st) MUST_CHECK;
void store_rollback(struct store *store);

/* ---- Runs ---- */

enum run_state { RUN_RUNNING, RUN_DONE, RUN_INTERRUPTED, RUN_FAILED };
const char *run_state_name(enum run_state state); /* "running", "done", "interrupted", "failed" */

/* How prompts were put into a chat; `format` is NULL where they were not. */
struct store_chat {
    const char *format;          /* "gemma", ... */
    const char *template_sha256; /* NULL: the format was chosen by name */
    const char *system;          /* the user's system text, or NULL */
    const char *system_as;       /* "error", "drop", "prepend-user" */
    const char *fewshot_as;      /* "turns", "one turn" */
    int64_t n_system_dropped;    /* loading only: documents that lost their system message */
    int64_t n_system_in_user;    /* loading only: documents that have it in a user's turn */
};

/* Where the numbers come from.  Loading a run fills the same struct. */
struct store_run {
    const char *id;       /* NULL: one is made from the time, such as 20260412T093015Z-2b9d1f3a */
    enum run_state state; /* loading only */
    const char *started_at, *finished_at; /* loading only; ISO 8601, UTC */
    const char *parent;                   /* loading only; store_copy_facts() */
    const char *program_version, *program_commit, *compiler, *build_flags;
    const char *cpu, *kernel_set;
    int64_t threads;
    const char *backend; /* "native", "http", or "replies" for replies made elsewhere */
    const char *model_path, *architecture, *quantisation;
    const char *weights_sha256;
    int64_t weights_bytes;
    const char *adapter, *adapter_sha256; /* loading only: the artifact of that role, or NULL */
    const char *tokenizer_sha256, *tokenizer_kind;
    const char *chat_template; /* its text; NULL where none is applied, or one chosen by name */
    struct store_chat chat;
    const char *bos_policy;
    double temperature;
    int64_t top_k;
    double top_p;
    int64_t max_tokens; /* STORE_UNKNOWN where each task has its own */
    uint64_t seed;
    enum guard_mode guard_mode;
    const char *guard_policy_json, *guard_policy_sha256;
    const char *command_line;
    const char *options_json; /* what resume needs to start again: the caller's own object */
};

/* Adds a run in state `running` and writes its id.  The weights and the tokenizer become artifacts.
 * Fails with STATUS_USAGE when the id is taken. */
status_code store_create_run(struct store *store, const struct store_run *run,
                             char id[STORE_RUN_ID_SIZE], struct status *st) MUST_CHECK;

/* A file that took part: a classifier, a guard's lexicon, an adapter. */
struct store_artifact {
    const char *sha256;
    const char *kind; /* "classifier", "adapter", ... */
    const char *name; /* a path or an id */
    int64_t bytes;
    const char *meta_json;
};

/* Ties an artifact to a run under a role: "guard_input", "guard_output", "toxicity", "adapter". */
status_code store_add_artifact(struct store *store, const char *run, const char *role,
                               const struct store_artifact *artifact, struct status *st) MUST_CHECK;

/* Whether this artifact is tied to the run under this role. */
status_code store_has_artifact(struct store *store, const char *run, const char *role,
                               const char *sha256, bool *out, struct status *st) MUST_CHECK;

/* What a remote classifier said of a text, under a key that its owner makes (schema.sql). Finding
 * appends the value; keeping opens its own batch if none is open. */
status_code store_find_remote_score(struct store *store, const char *key, struct strbuf *value,
                                    bool *found, struct status *st) MUST_CHECK;
status_code store_keep_remote_score(struct store *store, const char *key, const char *classifier,
                                    struct text value, struct status *st) MUST_CHECK;

/* Writes the state and, unless it is `running`, the time.  Opens its own batch if none is open. */
status_code store_set_run_state(struct store *store, const char *run, enum run_state state,
                                struct status *st) MUST_CHECK;

/* The id of the run that `name` means: a whole id, the only id that starts with it, or "latest".
 * NULL is "latest". */
status_code store_find_run(struct store *store, const char *name, char id[STORE_RUN_ID_SIZE],
                           struct status *st) MUST_CHECK;

/* The newest run whose state is not `done`.  STATUS_NOT_FOUND when there is none. */
status_code store_newest_unfinished_run(struct store *store, char id[STORE_RUN_ID_SIZE],
                                        struct status *st) MUST_CHECK;

status_code store_load_run(struct store *store, const char *id, struct arena *arena,
                           struct store_run *out, struct status *st) MUST_CHECK;

/* The ids of all runs, oldest first. */
status_code store_list_runs(struct store *store, struct arena *arena, const char *const **ids,
                            size_t *n, struct status *st) MUST_CHECK;

/* ---- Tasks ---- */

struct store_metric {
    const char *metric;
    const char *extraction; /* NULL is STORE_NO_EXTRACTION */
    bool higher_is_better;
    bool no_direction;    /* neither more nor less is better */
    double blocked_value; /* what a blocked sample counts as in the enforce column: 0 = wrong */
    const char *source;   /* the metric whose verdicts it is made of; NULL: it has its own */
    int best_of;          /* k: documents count with the expected maximum of k of their scored
                             replies; 0 and 1: with their mean */
    const char *stratum;  /* only samples of this stratum; NULL: all */
};

struct store_task {
    const char *task;
    int position; /* order in the table */
    const char *version, *profile, *output_type;
    int64_t num_fewshot;
    int64_t fewshot_seed; /* STORE_UNKNOWN where shots are not drawn */
    int64_t limit;        /* STORE_UNKNOWN where all documents were asked for */
    int repeats;          /* replies per document, at least 1 */
    const char *base;     /* of one drawing of shots among several; else NULL (schema.sql) */
    const char *dataset_name, *dataset_path, *dataset_sha256;
    int64_t dataset_bytes;
    int64_t n_docs_total;               /* documents in the dataset, before the limit */
    const struct store_metric *metrics; /* the first is the task's headline */
    size_t n_metrics;
};

status_code store_add_task(struct store *store, const char *run, const struct store_task *task,
                           struct status *st) MUST_CHECK;

/* Adds a task's metrics to one that was copied without them. */
status_code store_add_metrics(struct store *store, const char *run, const char *task,
                              const struct store_metric *metrics, size_t n,
                              struct status *st) MUST_CHECK;

/* A group averages its tasks.  `parent` is a group added before, or NULL. */
status_code store_add_group(struct store *store, const char *run, const char *group,
                            const char *parent, const char *version, int position,
                            struct status *st) MUST_CHECK;

/* A task belongs to one group directly, and through it to the group's parents. */
status_code store_add_group_member(struct store *store, const char *run, const char *group,
                                   const char *task, struct status *st) MUST_CHECK;

/* The tasks of a run in table order, without their metrics. */
status_code store_load_tasks(struct store *store, const char *run, struct arena *arena,
                             struct store_task **out, size_t *n, struct status *st) MUST_CHECK;

/* ---- Samples ---- */

/* A batch is written when it is finished: what is in flight is pending. */
enum sample_state { SAMPLE_PENDING, SAMPLE_DONE, SAMPLE_FAILED, SAMPLE_BLOCKED };
#define SAMPLE_STATES 4
const char *sample_state_name(enum sample_state state);

/* Adds the documents as pending; those that are there stay as they are. */
status_code store_add_samples(struct store *store, const char *run, const char *task,
                              const int64_t *doc_ids, size_t n, struct status *st) MUST_CHECK;

/* Up to `max` documents with id >= `from` that are pending, in order. */
status_code store_find_pending(struct store *store, const char *run, const char *task, int64_t from,
                               int64_t *doc_ids, size_t max, size_t *n,
                               struct status *st) MUST_CHECK;

/* Makes the failed samples of a run pending again; *n is how many there were. */
status_code store_retry_failed(struct store *store, const char *run, int64_t *n,
                               struct status *st) MUST_CHECK;

/* Samples by state; a NULL task counts the whole run. */
status_code store_count_samples(struct store *store, const char *run, const char *task,
                                int64_t counts[SAMPLE_STATES], struct status *st) MUST_CHECK;

/* ---- Facts of a sample ---- */

/* Which sample a row is about.  `repeat` counts from 0; where there are no repeats it is 0. */
struct store_key {
    const char *run, *task;
    int64_t doc_id;
    int repeat;
};

/* A text under its SHA-256, kept once however many samples share it. */
status_code store_put_prompt(struct store *store, const char *sha256, struct text text,
                             struct status *st) MUST_CHECK;

struct store_sample {
    enum sample_state state; /* done, failed, or blocked: the input guard kept it from the model */
    const char *doc_hash;
    const char *prompt_hash;     /* of the rendered context, put before; NULL if never rendered */
    const char *guard_text_hash; /* of the document text that guards saw, put before, or NULL */
    const char *target;
    const char *stratum;      /* which metrics count it besides those of all; or NULL */
    const char *system_place; /* "turn", "user", "dropped"; NULL: it has no system message */
    int64_t n_prompt_tokens, n_truncated;
    const char *error_code, *error_text; /* of a failed sample */
};

/* Ends a sample: comes first in its batch, and forgets what an earlier attempt left behind.  For a
 * failed or blocked sample it also writes the verdicts (value unknown; infrastructure_error or
 * blocked_input), which store_put_verdict() may replace where the truth is known. */
status_code store_put_sample(struct store *store, const struct store_key *key,
                             const struct store_sample *sample, struct status *st) MUST_CHECK;

struct store_reply {
    struct text text;          /* what the model wrote, whole */
    struct text delivered;     /* what the user got; data NULL where that is the text itself */
    const char *finish_reason; /* "eos", "stop_string", "length", "guard" */
    int64_t n_tokens;
    uint64_t seed;
    double prefill_seconds, decode_seconds;
};
status_code store_put_reply(struct store *store, const struct store_key *key,
                            const struct store_reply *reply, struct status *st) MUST_CHECK;

struct store_choice {
    int index;
    struct text text;
    double logprob;
    int64_t n_tokens;
    bool is_greedy;
};
status_code store_put_choice(struct store *store, const struct store_key *key,
                             const struct store_choice *choice, struct status *st) MUST_CHECK;

struct store_hazard {
    enum guard_stage stage;
    const char *classifier_sha256; /* an artifact added before */
    const char *category;          /* "*" in the one row of a text that could not be scored */
    double logit, probability;     /* NAN where unscored, then `error` says why */
    const double *peak; /* of a guard's scores: the highest of any check of the text; else NULL */
    const char *error;
};
status_code store_put_hazard(struct store *store, const struct store_key *key,
                             const struct store_hazard *hazard, struct status *st) MUST_CHECK;

/* What a guard decided.  `blocks` is what the policy makes of the verdict, carried out in enforce
 * mode and only counted in shadow mode.  An input event has repeat 0 and holds for all repeats. */
struct store_guard_event {
    enum guard_stage stage;
    enum guard_mode mode; /* shadow or enforce */
    enum guard_verdict verdict;
    bool blocks;
    const char *category, *rule; /* what decided, or NULL */
    double latency_seconds;
    const char *response; /* "none", "log", "redact", "refuse", "stop", "regenerate"; or NULL */
    const char *classifier_sha256; /* of the classifier that decided, or NULL */
    bool exempted, timed_out;
    int64_t n_checks, n_attempts, n_extra_tokens;
    int64_t cut_at_token; /* 0 where no check cut the reply */
};
status_code store_put_guard_event(struct store *store, const struct store_key *key,
                                  const struct store_guard_event *event,
                                  struct status *st) MUST_CHECK;

struct store_verdict {
    const char *metric;
    const char *extraction; /* NULL is STORE_NO_EXTRACTION */
    struct text extracted;  /* data NULL where nothing was extracted */
    double value;           /* of the raw reply, whatever a guard did; NAN where unknown */
    enum outcome outcome;   /* of the raw reply; blocked_... where a guard left none to score */
    /* Of the form in which a guard shows the reply, or in shadow mode would, where it redacted it
     * or had it made again; NULL elsewhere. */
    const struct store_delivered *delivered;
};

struct store_delivered {
    double value;
    enum outcome outcome;
};
status_code store_put_verdict(struct store *store, const struct store_key *key,
                              const struct store_verdict *verdict, struct status *st) MUST_CHECK;

/* ---- Scoring again ---- */

/* Makes run `to`, which has been created and has no tasks, a child of run `from`: its tasks,
 * groups, samples, replies, choices, guard events and guards' scores are copied, and `from` becomes
 * its parent.  Left out is what scored the replies: metrics, verdicts, toxicity scores, and the
 * artifacts with the roles "toxicity", "interpreter" and "task". */
status_code store_copy_facts(struct store *store, const char *from, const char *to,
                             struct status *st) MUST_CHECK;

/* Copies the verdicts on samples that failed or were blocked, under the metrics that `to` has. */
status_code store_copy_failures(struct store *store, const char *from, const char *to,
                                struct status *st) MUST_CHECK;

/* ---- Shards ---- */

/* Makes one run, in a store that has none, of the newest run of each of the n stores: all shards of
 * one run, each there once and done.  Refused, naming the store and what differs, where they were
 * not made with the same program, model, data, tasks and options; threads, processor and paths may
 * differ.  `id` becomes the run's.  When this fails the store is of no use. */
status_code store_merge_shards(struct store *out, const char *const *paths, size_t n,
                               char id[STORE_RUN_ID_SIZE], struct status *st) MUST_CHECK;

#endif
