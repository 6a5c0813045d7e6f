/* run_config.h - everything a user chose for a run, and its form in the store.
 *
 * A `run_config` is plain data that `run` fills from options and `resume` reads back from the run's
 * options_json, so that a resumed run does what the first did.  Strings belong to argv or, when
 * read back, to the caller's arena.
 */
#ifndef ASSAY_RUN_CONFIG_H
#define ASSAY_RUN_CONFIG_H

#include <stdint.h>

#include "classifiers/safety_pipeline.h"
#include "engine/base/arena.h"

struct run_config {
    const char *model;    /* path or name */
    const char *adapter;  /* a LoRA adapter for it; NULL: none */
    const char *tasks;    /* comma-separated */
    const char *profile;  /* NULL: each task's first */
    const char *data_dir; /* NULL: looked up */
    const char *guard;    /* policy name or path; NULL: no guard */
    enum guard_mode guard_mode;
    const char *kernels;     /* NULL: the fastest */
    const char *type;        /* what to compute in, a name of compute_type_find(); NULL: auto */
    int64_t threads;         /* 0: one per processor */
    int64_t num_fewshot;     /* -1: each task's own number */
    int64_t limit;           /* documents per leaf task; 0: all */
    int64_t max_context;     /* 0: what the model was trained for */
    int64_t cache_memory;    /* MiB for keys and values; 0: a default, see scheduler.h */
    int64_t max_memory;      /* MiB that the model may take; 0: what the machine has left */
    int64_t max_gen_toks;    /* 0: each task's own number */
    int64_t repeats;         /* replies to each document; 0: each task's own number */
    int64_t shard, n_shards; /* the documents whose number leaves shard - 1 over n_shards; 0: all */
    int64_t shot_seeds; /* drawings of the shots, each with a seed of its own; 0: the task's one */
    uint64_t seed;
    double temperature;              /* 0: greedy; NAN: each task's own */
    int64_t top_k;                   /* 0: off; -1: each task's own */
    double top_p;                    /* 1: off; NAN: each task's own */
    const char *toxicity_classifier; /* scores replies for tasks about toxicity; NULL: the best
                                        that is inside the program */
    bool round_embedding_scale;
    bool chat;                  /* prompts go into a chat template */
    const char *chat_template;  /* NULL: the model's own */
    const char *chat_system;    /* NULL: the tasks' descriptions alone */
    const char *chat_system_as; /* NULL: "error" */
    bool chat_fewshot_in_one_turn;
};

/* The defaults of every option. */
struct run_config run_config_default(void);

/* Appends the config as one JSON object. */
void run_config_to_json(const struct run_config *config, struct strbuf *out);

/* Reads what run_config_to_json() wrote.  Errors name the field. */
status_code run_config_from_json(struct run_config *out, struct text json, struct arena *arena,
                                 struct status *st) MUST_CHECK;

#endif
