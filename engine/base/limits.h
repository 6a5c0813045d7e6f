/* limits.h - every bound on what comes from outside, in one place.
 *
 * A bound is generous for real files and small enough that a hostile one cannot exhaust the
 * machine.  Going over one is STATUS_LIMIT or STATUS_BAD_INPUT with the number in the message.
 */
#ifndef ASSAY_BASE_LIMITS_H
#define ASSAY_BASE_LIMITS_H

/* Model files */
#define LIMIT_TENSOR_COUNT       100000
#define LIMIT_TENSOR_DIMS        4
#define LIMIT_TENSOR_NAME        256          /* bytes */
#define LIMIT_METADATA_COUNT     100000       /* GGUF key-value pairs */
#define LIMIT_METADATA_KEY       65535        /* bytes of one GGUF key, as in its specification */
#define LIMIT_METADATA_ARRAY     (16u << 20)  /* elements of one GGUF array */
#define LIMIT_METADATA_STRING    (64u << 20)  /* bytes of one GGUF string */
#define LIMIT_SAFETENSORS_HEADER (100u << 20) /* bytes, as in the safetensors library */
#define LIMIT_SHARDS             1000
#define LIMIT_CONFIG_BYTES       (4u << 20)   /* config.json */
#define LIMIT_TOKENIZER_BYTES    (128u << 20) /* tokenizer.json, tokenizer.model */
#define LIMIT_PIECE_BYTES        4096         /* one entry of a vocabulary */
#define LIMIT_MERGES             (4u << 20)   /* merge rules of a byte-pair encoding */
#define LIMIT_TOKENIZER_MEMORY   (1u << 30)   /* a loaded vocabulary with its tables */

/* Model shapes */
#define LIMIT_VOCAB        (1 << 20)
#define LIMIT_LAYERS       512
#define LIMIT_HIDDEN       (1 << 17)
#define LIMIT_HEADS        1024
#define LIMIT_LABELS       10000 /* of a classification head */
#define LIMIT_CONTEXT      (1 << 20)
#define LIMIT_ADAPTER_RANK 4096

/* Text */
#define LIMIT_JSON_BYTES         (256u << 20)
#define LIMIT_LINE_BYTES         (16u << 20) /* one JSONL line */
#define LIMIT_DATASET_BYTES      (1u << 30)
#define LIMIT_ARCHIVE_BYTES      (4ull << 30) /* of all files of one that is unpacked */
#define LIMIT_MODEL_FILE_BYTES   (1ll << 40)  /* of one that is fetched */
#define LIMIT_DATASET_ROWS       (16u << 20)
#define LIMIT_CSV_FIELDS         4096
#define LIMIT_FEWSHOT_DRAWS      (64u << 20) /* documents times shots */
#define LIMIT_PROMPT_BYTES       (16u << 20)
#define LIMIT_REPLY_BYTES        (16u << 20)
#define LIMIT_REPORT_BYTES       (1u << 30)
#define LIMIT_POLICY_BYTES       (4u << 20)
#define LIMIT_ALLOW_ENTRIES      1000 /* of each allow list of a policy */
#define LIMIT_LEXICON_ENTRIES    1000000
#define LIMIT_LEXICON_BYTES      (64u << 20)
#define LIMIT_LINEAR_MODEL_BYTES (16u << 20)
#define LIMIT_CLASSIFIER_SECONDS 600        /* of a model on one text; a policy may give it less */
#define LIMIT_PROBE_BYTES        (2u << 30) /* of the hidden states that a probe is trained on */
#define LIMIT_TRAINING_SOURCES   64
#define LIMIT_EVAL_GROUPS        1000
#define LIMIT_REPEATS            1000     /* replies to one document */
#define LIMIT_REGEX_STEPS        10000000 /* backtracking steps of one match */
#define LIMIT_PATTERN_BYTES      65536    /* one regular expression of a tokenizer */

/* The store and its reports */
#define LIMIT_RUNS  1000000
#define LIMIT_TASKS 10000 /* of one run */

#endif
