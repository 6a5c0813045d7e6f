-- The store, version 1: the tables that results_store.c creates in an empty file.  Then come the
-- steps to later versions (schema_2.sql), and what is derived from the tables (schema_views.sql).
--
-- Keys are natural, tables have no rowid, and what is unknown is NULL.  Only columns named ..._at
-- and ..._seconds may differ between a run that was interrupted and resumed and one that was not.
-- Texts that are not valid UTF-8, or that hold a NUL, are kept as BLOBs of their exact bytes.

CREATE TABLE artifact (            -- a file that took part, under the SHA-256 of its content
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    kind   TEXT NOT NULL,          -- weights, tokenizer, dataset, classifier, ...
    name   TEXT,                   -- where it was when it was first used
    bytes  INTEGER CHECK (bytes >= 0),
    meta   TEXT,                   -- JSON
    PRIMARY KEY (sha256)
) WITHOUT ROWID;

CREATE TABLE run (
    run                 TEXT NOT NULL CHECK (length(run) BETWEEN 1 AND 63),
    state               TEXT NOT NULL CHECK (state IN ('running', 'done', 'interrupted', 'failed')),
    started_at          TEXT NOT NULL,
    finished_at         TEXT,
    program_version     TEXT,
    program_commit      TEXT,
    compiler            TEXT,
    build_flags         TEXT,
    cpu                 TEXT,
    kernel_set          TEXT,
    threads             INTEGER CHECK (threads > 0),
    backend             TEXT,
    model_path          TEXT,
    architecture        TEXT,
    quantisation        TEXT,
    weights_sha256      TEXT REFERENCES artifact (sha256),
    tokenizer_sha256    TEXT REFERENCES artifact (sha256),
    tokenizer_kind      TEXT,
    chat_template       TEXT,
    bos_policy          TEXT,
    temperature         REAL,
    top_k               INTEGER,
    top_p               REAL,
    max_tokens          INTEGER,
    seed                INTEGER,   -- 64 bits, shown as a signed number
    guard_mode          TEXT NOT NULL CHECK (guard_mode IN ('off', 'shadow', 'enforce')),
    guard_policy        TEXT,      -- JSON
    guard_policy_sha256 TEXT,
    command_line        TEXT,
    options_json        TEXT,      -- what resume needs to start again
    parent              TEXT REFERENCES run (run), -- whose replies these are; NULL: its own
    PRIMARY KEY (run)
) WITHOUT ROWID;

CREATE TABLE run_artifact (        -- classifiers and adapters of a run
    run    TEXT NOT NULL REFERENCES run (run),
    role   TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES artifact (sha256),
    PRIMARY KEY (run, role, sha256)
) WITHOUT ROWID;

CREATE TABLE task_run (
    run            TEXT NOT NULL REFERENCES run (run),
    task           TEXT NOT NULL,
    position       INTEGER NOT NULL,
    version        TEXT NOT NULL,
    profile        TEXT NOT NULL,
    output_type    TEXT NOT NULL,
    num_fewshot    INTEGER NOT NULL CHECK (num_fewshot >= 0),
    fewshot_seed   INTEGER,
    doc_limit      INTEGER,        -- NULL: all documents
    repeats        INTEGER NOT NULL CHECK (repeats > 0),
    dataset_name   TEXT,
    dataset_path   TEXT,
    dataset_sha256 TEXT REFERENCES artifact (sha256),
    n_docs_total   INTEGER,        -- in the dataset, before the limit
    base           TEXT,           -- of one drawing of shots among several: what all of them are
                                   -- averaged into; `task` then ends in '#' and the seed
    PRIMARY KEY (run, task)
) WITHOUT ROWID;

-- A metric reads the verdicts of its `source` (its own where that is NULL), of the documents of its
-- `stratum` (all where that is NULL), and a document counts with the expected maximum of `best_of`
-- of its scored replies: their mean for 1, their maximum for as many as there are.  So expected
-- maximum toxicity, toxicity probability and pass@k are never stored and hold for every column.
CREATE TABLE task_metric (
    run              TEXT NOT NULL,
    task             TEXT NOT NULL,
    metric           TEXT NOT NULL,
    extraction       TEXT NOT NULL,          -- 'none' where the reply is taken whole
    position         INTEGER NOT NULL,       -- 0 is the headline of the task
    higher_is_better INTEGER NOT NULL CHECK (higher_is_better IN (0, 1)), -- may be NULL since 2
    blocked_value    REAL,                   -- what a blocked sample counts as when enforced
    source           TEXT,                   -- NULL: it has verdicts of its own
    best_of          INTEGER NOT NULL DEFAULT 1 CHECK (best_of > 0),
    stratum          TEXT,                   -- NULL: all documents
    PRIMARY KEY (run, task, metric, extraction),
    FOREIGN KEY (run, task) REFERENCES task_run (run, task)
) WITHOUT ROWID;

CREATE TABLE task_group (          -- mmlu, mmlu_stem, ...
    run        TEXT NOT NULL REFERENCES run (run),
    group_name TEXT NOT NULL,
    parent     TEXT,
    version    TEXT,
    position   INTEGER NOT NULL,
    PRIMARY KEY (run, group_name),
    FOREIGN KEY (run, parent) REFERENCES task_group (run, group_name)
) WITHOUT ROWID;

CREATE TABLE task_group_member (   -- the one group a task is directly in
    run        TEXT NOT NULL,
    task       TEXT NOT NULL,
    group_name TEXT NOT NULL,
    PRIMARY KEY (run, task),
    FOREIGN KEY (run, task) REFERENCES task_run (run, task),
    FOREIGN KEY (run, group_name) REFERENCES task_group (run, group_name)
) WITHOUT ROWID;

CREATE TABLE prompt (              -- rendered contexts and guarded texts, each kept once
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    text   TEXT NOT NULL,
    PRIMARY KEY (sha256)
) WITHOUT ROWID;

CREATE TABLE sample (
    run             TEXT NOT NULL,
    task            TEXT NOT NULL,
    doc_id          INTEGER NOT NULL,
    state           TEXT NOT NULL
                    CHECK (state IN ('pending', 'done', 'failed', 'blocked')),
    doc_hash        TEXT,
    prompt_hash     TEXT REFERENCES prompt (sha256),
    guard_text_hash TEXT REFERENCES prompt (sha256), -- what guards saw of the document
    target          TEXT,
    n_prompt_tokens INTEGER,
    n_truncated     INTEGER,       -- tokens cut from the left
    error_code      TEXT,
    error_text      TEXT,
    stratum TEXT, -- toxic, safe, ...: known when the sample has ended
    system_place    TEXT           -- of its system message; NULL: it has none
                    CHECK (system_place IN ('turn', 'user', 'dropped')),
    PRIMARY KEY (run, task, doc_id),
    FOREIGN KEY (run, task) REFERENCES task_run (run, task),
    CHECK (state <> 'failed' OR error_code IS NOT NULL)
) WITHOUT ROWID;

CREATE TABLE reply (
    run             TEXT NOT NULL,
    task            TEXT NOT NULL,
    doc_id          INTEGER NOT NULL,
    repeat          INTEGER NOT NULL CHECK (repeat >= 0),
    text            TEXT NOT NULL, -- whole, as the model wrote it
    delivered       TEXT,          -- NULL: the text itself
    finish_reason   TEXT,
    n_tokens        INTEGER,
    seed            INTEGER,       -- 64 bits, shown as a signed number
    prefill_seconds REAL,
    decode_seconds  REAL,
    PRIMARY KEY (run, task, doc_id, repeat),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id)
) WITHOUT ROWID;

CREATE TABLE choice_logprob (
    run       TEXT NOT NULL,
    task      TEXT NOT NULL,
    doc_id    INTEGER NOT NULL,
    choice    INTEGER NOT NULL CHECK (choice >= 0),
    text      TEXT NOT NULL,
    logprob   REAL,
    n_tokens  INTEGER,
    is_greedy INTEGER CHECK (is_greedy IN (0, 1)),
    PRIMARY KEY (run, task, doc_id, choice),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id)
) WITHOUT ROWID;

-- A peak is the highest probability that any check of a growing reply saw: in a shadow run a
-- threshold fires exactly where it is at most the peak.
CREATE TABLE hazard_score (
    run               TEXT NOT NULL,
    task              TEXT NOT NULL,
    doc_id            INTEGER NOT NULL,
    repeat            INTEGER NOT NULL CHECK (repeat >= 0),
    stage             TEXT NOT NULL CHECK (stage IN ('input', 'output')),
    classifier_sha256 TEXT NOT NULL REFERENCES artifact (sha256),
    category          TEXT NOT NULL,         -- '*' in the one row of an unscored text
    logit             REAL,
    probability       REAL CHECK (probability BETWEEN 0 AND 1),
    error             TEXT,
    peak              REAL CHECK (peak BETWEEN 0 AND 1), -- of guards alone
    PRIMARY KEY (run, task, doc_id, repeat, stage, classifier_sha256, category),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id),
    CHECK (probability IS NOT NULL OR error IS NOT NULL)
) WITHOUT ROWID;

CREATE TABLE guard_event (
    run             TEXT NOT NULL,
    task            TEXT NOT NULL,
    doc_id          INTEGER NOT NULL,
    repeat          INTEGER NOT NULL CHECK (repeat >= 0),
    stage           TEXT NOT NULL CHECK (stage IN ('input', 'output')),
    mode            TEXT NOT NULL CHECK (mode IN ('shadow', 'enforce')),
    verdict         TEXT NOT NULL CHECK (verdict IN ('allow', 'block', 'error')),
    action          TEXT NOT NULL CHECK (action IN ('allow', 'block')), -- carried out if enforced
    category        TEXT,
    policy_rule     TEXT,
    latency_seconds REAL,
    response        TEXT           -- what enforce did, or in shadow would have done
                    CHECK (response IN ('none', 'log', 'redact', 'refuse', 'stop', 'regenerate')),
    classifier_sha256 TEXT,        -- whose score decided
    exempted        INTEGER CHECK (exempted IN (0, 1)), -- by an allow list
    timed_out       INTEGER CHECK (timed_out IN (0, 1)),
    n_checks        INTEGER,
    cut_at_token    INTEGER,       -- NULL: the reply came to its own end
    n_attempts      INTEGER,       -- replies made after the first
    n_extra_tokens  INTEGER,       -- of these
    PRIMARY KEY (run, task, doc_id, repeat, stage),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id),
    CHECK (stage = 'output' OR repeat = 0)
) WITHOUT ROWID;

-- A reply that a guard redacted, or had made again, is shown in a form of its own: the enforce
-- column counts what that form scores, `delivered_value`.
CREATE TABLE verdict (
    run        TEXT NOT NULL,
    task       TEXT NOT NULL,
    doc_id     INTEGER NOT NULL,
    repeat     INTEGER NOT NULL CHECK (repeat >= 0),
    metric     TEXT NOT NULL,
    extraction TEXT NOT NULL,
    extracted  TEXT,
    value      REAL,               -- of the raw reply, whatever a guard did
    outcome    TEXT NOT NULL CHECK (outcome IN (
                   'correct', 'wrong', 'extraction_failed', 'truncated', 'empty', 'refused',
                   'blocked_input', 'blocked_output', 'execution_timeout', 'execution_failed',
                   'infrastructure_error')),
    delivered_value   REAL,        -- of a reply that was shown in another form
    delivered_outcome TEXT,
    PRIMARY KEY (run, task, doc_id, repeat, metric, extraction),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id),
    FOREIGN KEY (run, task, metric, extraction)
        REFERENCES task_metric (run, task, metric, extraction)
) WITHOUT ROWID;

CREATE TABLE run_chat (            -- one row for a run in chat mode
    run             TEXT NOT NULL REFERENCES run (run),
    format          TEXT NOT NULL, -- "gemma", "llama3", ...
    template_sha256 TEXT,          -- NULL: the format was chosen by name; run.chat_template else
    system_text     TEXT,          -- the user's; tasks add their description
    system_as       TEXT NOT NULL CHECK (system_as IN ('error', 'drop', 'prepend-user')),
    fewshot_as      TEXT NOT NULL CHECK (fewshot_as IN ('turns', 'one turn')),
    PRIMARY KEY (run)
) WITHOUT ROWID;

-- What remote classifiers said, kept so that nothing is asked twice.  The key is a digest of the
-- classifier (its address and model), the prompt and the text.  Only answers are here: a failure is
-- asked again.  All runs of the file share them; `scored_at` is when the service was asked, which
-- for a service that changes says which one it was.
CREATE TABLE remote_score (
    key        TEXT NOT NULL CHECK (length(key) = 64),
    classifier TEXT NOT NULL,
    scores     TEXT NOT NULL, -- {"toxicity": [logit, probability], ...}
    scored_at  TEXT NOT NULL, -- ISO 8601, UTC
    PRIMARY KEY (key)
) WITHOUT ROWID;

-- Speeds, as `assay speed --store` measures them.  Rows carry what they depend on, so that figures
-- of different machines, builds and models can lie in one file and never be taken for each other.
-- A fraction is of the machine's own bound in the same run.
CREATE TABLE speed_run (
    speed_run           TEXT NOT NULL,
    started_at          TEXT NOT NULL,   -- ISO 8601, UTC
    program_version     TEXT NOT NULL,
    program_commit      TEXT,
    compiler            TEXT,
    build_flags         TEXT,
    cpu                 TEXT,
    kernel_set          TEXT NOT NULL,
    compute             TEXT NOT NULL,   -- what products are computed in: f32, bf16, int8
    threads             INTEGER NOT NULL,
    model               TEXT NOT NULL,   -- a path, or what was made up
    weights_sha256      TEXT,            -- NULL where they were made up
    architecture        TEXT NOT NULL,
    quantisation        TEXT NOT NULL,
    n_parameters        INTEGER NOT NULL,
    n_layers            INTEGER NOT NULL,
    matrix_bytes        INTEGER NOT NULL, -- that a pass reads
    peak_compute        TEXT NOT NULL,   -- the products that peak_operations counts
    peak_operations     REAL NOT NULL,   -- per second; a multiply-add is two
    read_bandwidth      REAL NOT NULL,   -- bytes per second
    peak_resident_bytes INTEGER NOT NULL,
    command_line        TEXT,
    PRIMARY KEY (speed_run)
) WITHOUT ROWID;

CREATE TABLE speed_row (
    speed_run         TEXT NOT NULL REFERENCES speed_run (speed_run),
    position          INTEGER NOT NULL,
    kind              TEXT NOT NULL CHECK (kind IN ('prefill', 'decode')),
    batch             INTEGER NOT NULL,  -- sequences
    n_tokens          INTEGER NOT NULL,  -- of each, in the timed window
    n_context         INTEGER NOT NULL,  -- that stood before them
    repetitions       INTEGER NOT NULL,
    tokens_per_second REAL NOT NULL,     -- the median; of all sequences together
    slowest           REAL NOT NULL,
    fastest           REAL NOT NULL,
    bound             TEXT NOT NULL CHECK (bound IN ('arithmetic', 'bandwidth')),
    fraction          REAL NOT NULL,     -- of the bound, by the fastest
    PRIMARY KEY (speed_run, position)
) WITHOUT ROWID;

CREATE TABLE speed_workload (
    speed_run            TEXT NOT NULL REFERENCES speed_run (speed_run),
    kind                 TEXT NOT NULL,  -- mmlu, rtp
    real_texts           INTEGER NOT NULL CHECK (real_texts IN (0, 1)), -- 0: made up
    n_documents          INTEGER NOT NULL,
    n_requests           INTEGER NOT NULL,
    seconds              REAL NOT NULL,
    documents_per_second REAL NOT NULL,
    one_by_one           REAL NOT NULL,  -- documents per second, nothing shared
    tokens_asked         INTEGER NOT NULL,
    tokens_unique        INTEGER NOT NULL,
    tokens_computed      INTEGER NOT NULL,
    PRIMARY KEY (speed_run, kind)
) WITHOUT ROWID;
