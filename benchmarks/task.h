/* task.h - a benchmark as data: how documents become requests, and answers become scores.
 *
 *   name -> task_registry (rows) -> task_ref -> task_instance_load() -> documents in memory
 *   document -> task_instance_render() -> a request a backend can answer
 *   answer   -> task_instance_score_reply() or _score_choices() -> score
 *
 * A `task` is a row: lm-eval's field names, and the functions that know its documents.  A
 * `task_ref` names one leaf of it: "gsm8k", or one subject of mmlu.  A `task_instance` is a leaf
 * with its data files read; it is immutable after loading and may be shared by threads.
 *
 *   struct task_instance *task;
 *   if (task_instance_load(&task, &ref, &(struct task_options){.num_fewshot = 5}, st) ...
 *   for (int64_t doc = 0; doc < task_instance_info(task)->n_documents; doc++) {
 *       if (task_instance_render(task, doc, &arena, &request, st) != STATUS_OK) ...
 *       if (task_instance_score_reply(task, doc, &reply, &arena, &score, st) != STATUS_OK) ...
 *       arena_reset(&arena);
 *   }
 *   task_instance_free(task);
 *
 * Documents are numbered from 0 in the order of the data file.  What a document's prompt is does
 * not depend on which other documents are rendered.
 */
#ifndef ASSAY_TASK_H
#define ASSAY_TASK_H

#include "benchmarks/answer_extraction.h"
#include "benchmarks/scorer.h"
#include "datasets/dataset.h"
#include "engine/backend.h"
#include "engine/tokenizer/chat_template.h"

#define TASK_NAME_SIZE       96
#define TASK_MAX_CHOICES     32
#define TASK_MAX_UNTIL       16
#define TASK_MAX_METRICS     16
#define TASK_MAX_EXTRACTIONS 4

enum output_type { OUTPUT_MULTIPLE_CHOICE, OUTPUT_GENERATE_UNTIL, OUTPUT_LOGLIKELIHOOD };
/* "multiple_choice", "generate_until", "loglikelihood". */
const char *output_type_name(enum output_type type);

enum fewshot_sampler {
    FEWSHOT_FIRST_N, /* the first shots of the split, the same for every document */
    FEWSHOT_RANDOM,  /* drawn for each document by one CPython random.Random(seed) */
    /* The same, but one more is drawn, the document itself is dropped, and the first are kept:
     * what lm-eval does where neither split is named for few-shot, whatever they are. */
    FEWSHOT_RANDOM_OTHERS
};

/* A metric has values of its own, one for each reply, or is made of another's: then nothing is
 * scored for it, and it counts some documents, or one number of several replies.
 *
 *   {.name = "pass@10", .source = "pass@1", .best_of = 10}   the chance that one of 10 passes
 *
 * One whose best_of is more than a run has replies for is not reported. */
struct metric {
    const char *name;        /* NULL ends the list */
    const char *aggregation; /* "mean" */
    bool higher_is_better;
    bool no_direction;    /* neither more nor less of it is better: it is a fact, and no merit */
    const char *source;   /* the metric that it is made of; NULL: it has values of its own */
    int best_of;          /* k: a document counts with the expected maximum of k of its replies;
                             0: with their mean; TASK_BEST_OF_ALL: with their maximum */
    const char *stratum;  /* only documents of this stratum; NULL: all */
    int min_repeats;      /* not reported with fewer replies to a document */
    double blocked_value; /* what a reply that a guard blocked counts as; 0 is wrong, or harmless */
};
#define TASK_BEST_OF_ALL (-1)

/* A leaf of a task that has several, and the group that it is averaged into. */
struct task_subset {
    const char *name;  /* "anatomy"; NULL ends the list */
    const char *group; /* "mmlu_stem" */
};

struct document {
    const void *fields; /* a struct of the task's own */
};

struct document_list {
    struct document *items;
    size_t count;
};

/* The documents whose fields are the n items of an array that lives as long as `dataset`: what most
 * tasks' load() ends with. */
status_code task_list_documents(struct dataset *dataset, const void *array, size_t n,
                                size_t item_size, struct document_list *out,
                                struct status *st) MUST_CHECK;

struct task;

/* Whether `file` of the dataset, which may be NULL for want of memory, is there: what check_files()
 * of a task with one file for each subset comes to. */
status_code task_check_file(const struct task *task, const char *subset, struct dataset *dataset,
                            const char *file, struct status *st) MUST_CHECK;

struct task {
    const char *name;    /* leaves of a task with subsets are called name_subset */
    const char *profile; /* whose protocol this is: "lm-eval" */
    const char *version; /* changes when any byte of a prompt does */
    const char *summary; /* one line for `list tasks` */
    const char *dataset;
    const char *data_dir;   /* where the data are, of a task file that says so; NULL: looked up */
    struct task_file *file; /* the file that the row was made from; NULL: compiled */
    const struct task_subset *subsets; /* NULL: the task is its only leaf */
    const char *subsets_key; /* the member of DIR/manifest.json that may list fewer; or NULL */
    const char *test_split;
    const char *fewshot_split;
    enum fewshot_sampler fewshot_sampler;
    int num_fewshot; /* unless the caller asks for another number */
    enum output_type output_type;
    const char *target_delimiter;  /* between a text and its target, and before a choice */
    const char *fewshot_delimiter; /* after each shot */
    const char *until[TASK_MAX_UNTIL];
    int max_gen_toks;
    int max_prompt_tokens; /* shots are left out until the prompt has no more; 0: never */
    int repeats;           /* replies to each document; 0: 1 */
    struct sampling_options sampling; /* all 0: greedy; a top_p of 0 is 1 */
    bool judges_toxicity;             /* replies come with a toxicity score (struct reply) */
    struct metric metrics[TASK_MAX_METRICS];
    bool plain_metric_names; /* results say "pass@1" where others say "acc,none" */
    struct answer_extraction extractions[TASK_MAX_EXTRACTIONS];
    struct exact_match_options exact_match;
    const void *settings; /* what the functions below need to know besides; may be NULL */

    /* Makes a copy of the row the row of one leaf: its own stop strings, rules and settings.  May
     * be NULL. */
    void (*specialise)(struct task *row, const char *subset);

    /* Fails, naming the file, when the leaf's own documents are not there.  May be NULL. */
    status_code (*check_files)(const struct task *task, const char *subset, struct dataset *dataset,
                               struct status *st);
    /* Reads one split of one leaf.  The documents live as long as `dataset`. */
    status_code (*load)(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st);
    /* What stands before the shots; NULL where nothing does. */
    void (*description)(const struct task *task, const char *subset, struct strbuf *out);
    void (*doc_to_text)(const struct task *task, const struct document *doc, struct strbuf *out);
    void (*doc_to_target)(const struct task *task, const struct document *doc, struct strbuf *out);
    /* How the reply begins, lm-eval's gen_prefix: behind the text, or in a chat the opening of the
     * assistant's turn.  May be NULL.  Shots have none. */
    void (*doc_to_prefix)(const struct task *task, const struct document *doc, struct strbuf *out);
    /* Multiple choice: how many choices, their texts without the delimiter, and the right one. */
    int (*doc_to_choice)(const struct task *task, const struct document *doc,
                         struct text choices[TASK_MAX_CHOICES], int *gold);
    /* Whether the choices are contexts, each followed by the target, as where a gap is filled
     * differently and the rest of the sentence is scored.  May be NULL: they are not. */
    bool (*choices_are_contexts)(const struct task *task, const struct document *doc);
    /* Which of the choices are true, for the metric mc2.  May be NULL. */
    const bool *(*doc_to_labels)(const struct task *task, const struct document *doc);
    /* The part of the documents that this one belongs to, as in metrics; NULL: none.  May be NULL.
     */
    const char *(*doc_to_stratum)(const struct task *task, const struct document *doc);
    /* Where replies are programs: what to run.  They then come with an execution (struct reply).
     * Texts are the arena's or the document's. */
    status_code (*reply_to_job)(const struct task *task, const struct document *doc,
                                struct text reply, struct arena *arena, struct sandbox_job *out,
                                struct status *st);
    /* The document as json.dumps(doc, indent=2, ensure_ascii=False) prints it: what is hashed. */
    void (*doc_to_json)(const struct task *task, const struct document *doc, struct strbuf *out);

    status_code (*score_reply)(const struct task_instance *instance, int64_t doc_id,
                               const struct reply *reply, struct arena *arena, struct score *out,
                               struct status *st);
    status_code (*score_choices)(const struct task_instance *instance, int64_t doc_id,
                                 const double *logprobs, int n, struct score *out,
                                 struct status *st);
    /* Sees the scores of all n replies to a document, in order, and adds what they are worth
     * together to each: a majority vote.  May be NULL. */
    status_code (*score_repeats)(const struct task_instance *instance, int64_t doc_id,
                                 struct score *scores, int n, struct arena *arena,
                                 struct status *st);
};

/* One leaf.  `subset` is NULL where the task has none. */
struct task_ref {
    const struct task *task;
    const char *subset;
    char name[TASK_NAME_SIZE]; /* "mmlu_anatomy" */
    const char *group;         /* "mmlu", or NULL */
    const char *subgroup;      /* "mmlu_stem", or NULL */
    /* Of one drawing of a leaf's shots among several: then the name ends in "#1234", the seed, and
     * `base` is what all drawings are averaged into, the leaf or its group.  Else NULL. */
    const char *base;
    uint64_t shot_seed;
};

struct task_options {
    int num_fewshot;       /* TASK_DEFAULT_FEWSHOT: the task's own number */
    uint64_t fewshot_seed; /* 0: lm-eval's 1234 */
    bool draw_shots;       /* draw them also where the task shows the first ones */
    struct dataset_lookup lookup;
};
#define TASK_DEFAULT_FEWSHOT (-1)
#define TASK_FEWSHOT_SEED    1234

struct task_info {
    const struct task_ref *ref;
    int64_t n_documents;
    int num_fewshot;
    uint64_t fewshot_seed;
    const char *data_dir;
    enum dataset_origin origin;           /* DATASET_DEMO: never to be taken for the real thing */
    enum manifest_match matches_manifest; /* MANIFEST_DIFFERENT: warn, and record */
    char dataset_sha256[SHA256_HEX_SIZE];
};

/* One document, rendered.  Texts are the arena's, or the instance's. */
struct task_request {
    int64_t doc_id;
    enum output_type output_type;
    int n_shots;
    struct text context;
    /* A chat's: the system message if there is one, turns, and how the reply begins if the task has
     * words for that.  `context` and `prompt_hash` are then what a chat template makes of it
     * (benchmarks/chat.h). */
    const struct chat_message *messages;
    int n_messages;
    struct text guard_text; /* the document's own text without description and shots */
    struct text target;
    const char *stratum;                         /* or NULL */
    struct text continuations[TASK_MAX_CHOICES]; /* with their delimiter */
    int n_continuations;                         /* 0: generate */
    /* Of each continuation, where they differ; else NULL.  `context` is the first one. */
    const struct text *contexts;
    int gold; /* index of the right continuation, or -1 */
    struct text until[TASK_MAX_UNTIL];
    int n_until;
    int max_gen_toks;
    char doc_hash[SHA256_HEX_SIZE];
    char prompt_hash[SHA256_HEX_SIZE]; /* of `context` */
};

/* Reads the leaf's files and draws its shots.  Errors name the file, the line and the field. */
status_code task_instance_load(struct task_instance **out, const struct task_ref *ref,
                               const struct task_options *options, struct status *st) MUST_CHECK;
void task_instance_free(struct task_instance *instance);

const struct task_info *task_instance_info(const struct task_instance *instance);

/* Fails with STATUS_USAGE when there is no document `doc_id`. */
status_code task_instance_render(const struct task_instance *instance, int64_t doc_id,
                                 struct arena *arena, struct task_request *out,
                                 struct status *st) MUST_CHECK;

/* The same with at most so many shots: for a prompt that is too long with all of them. */
status_code task_instance_render_shots(const struct task_instance *instance, int64_t doc_id,
                                       int max_shots, struct arena *arena, struct task_request *out,
                                       struct status *st) MUST_CHECK;

/* The document as a chat, as lm-eval builds it with --apply_chat_template: description and system
 * text are the system message, shots are turns, and a choice is the assistant's reply without the
 * delimiter in front. */
struct task_chat {
    const char *system;       /* in front of the task's description; NULL: nothing */
    bool fewshot_in_one_turn; /* shots and question as one message of the user's */
};
status_code task_instance_render_chat(const struct task_instance *instance, int64_t doc_id,
                                      int max_shots, const struct task_chat *chat,
                                      struct arena *arena, struct task_request *out,
                                      struct status *st) MUST_CHECK;

/* A reply made of text, and for multiple choice one log-probability for each continuation. */
status_code task_instance_score_reply(const struct task_instance *instance, int64_t doc_id,
                                      const struct reply *reply, struct arena *arena,
                                      struct score *out, struct status *st) MUST_CHECK;
status_code task_instance_score_choices(const struct task_instance *instance, int64_t doc_id,
                                        const double *logprobs, int n, struct score *out,
                                        struct status *st) MUST_CHECK;

/* A target's log-probability, and whether each of its tokens was the likeliest. */
status_code task_instance_score_loglikelihood(const struct task_instance *instance, int64_t doc_id,
                                              double logprob, bool is_greedy, struct score *out,
                                              struct status *st) MUST_CHECK;

/* Once each of the n replies to a document is scored. */
status_code task_instance_score_repeats(const struct task_instance *instance, int64_t doc_id,
                                        struct score *scores, int n, struct arena *arena,
                                        struct status *st) MUST_CHECK;

/* Runs n replies of a task that has programs for replies, several at a time; the caller releases
 * the results.  Fails without results. */
status_code task_instance_run_replies(const struct task_instance *instance,
                                      const struct sandbox *sandbox, const int64_t *doc_ids,
                                      const struct text *replies, size_t n,
                                      struct sandbox_result *results, struct status *st) MUST_CHECK;

/* The number of replies that the task asks for, and how they are drawn. */
int task_repeats(const struct task *task);
struct sampling_options task_sampling(const struct task *task);

/* The metrics of a run with so many replies to a document: each once for each extraction. */
struct task_metric {
    const struct metric *metric;
    const char *extraction; /* "none" where there is none */
    int best_of;            /* 1 or more */
};
#define TASK_MAX_VALUES (TASK_MAX_METRICS * TASK_MAX_EXTRACTIONS)
/* Appends "metric,extraction" in quotes, or the metric alone where the task says so. */
void task_append_metric_key(const struct task *task, const char *metric, const char *extraction,
                            struct strbuf *out);

int task_list_metrics(const struct task *task, int repeats,
                      struct task_metric out[TASK_MAX_VALUES]);

/* For the functions that rows point to. */
const struct document *task_instance_document(const struct task_instance *instance, int64_t doc_id);
const struct answer_checker *task_instance_checker(const struct task_instance *instance);

#endif
