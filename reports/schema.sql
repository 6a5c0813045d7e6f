-- The store, version 1: what results_store.c creates in an empty file.
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
    PRIMARY KEY (run, task)
) WITHOUT ROWID;

CREATE TABLE task_metric (
    run              TEXT NOT NULL,
    task             TEXT NOT NULL,
    metric           TEXT NOT NULL,
    extraction       TEXT NOT NULL,          -- 'none' where the reply is taken whole
    position         INTEGER NOT NULL,       -- 0 is the headline of the task
    higher_is_better INTEGER NOT NULL CHECK (higher_is_better IN (0, 1)),
    blocked_value    REAL,                   -- what a blocked sample counts as when enforced
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
                    CHECK (state IN ('pending', 'running', 'done', 'failed', 'blocked')),
    doc_hash        TEXT,
    prompt_hash     TEXT REFERENCES prompt (sha256),
    guard_text_hash TEXT REFERENCES prompt (sha256), -- what guards saw of the document
    target          TEXT,
    n_prompt_tokens INTEGER,
    n_truncated     INTEGER,       -- tokens cut from the left
    error_code      TEXT,
    error_text      TEXT,
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
    PRIMARY KEY (run, task, doc_id, repeat, stage),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id),
    CHECK (stage = 'output' OR repeat = 0)
) WITHOUT ROWID;

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
    PRIMARY KEY (run, task, doc_id, repeat, metric, extraction),
    FOREIGN KEY (run, task, doc_id) REFERENCES sample (run, task, doc_id),
    FOREIGN KEY (run, task, metric, extraction)
        REFERENCES task_metric (run, task, metric, extraction)
) WITHOUT ROWID;

-- One verdict with what a guard made, or would have made, of it.
CREATE VIEW guarded_verdict AS
SELECT v.run, v.task, v.doc_id, v.repeat, v.metric, v.extraction, v.extracted,
       v.value AS off_value,
       i.action IS NOT NULL AS input_blocked,
       o.action IS NOT NULL AS output_blocked,
       CASE WHEN r.guard_mode = 'off' THEN NULL
            WHEN i.action IS NOT NULL OR o.action IS NOT NULL THEN
                (SELECT m.blocked_value FROM task_metric m
                 WHERE m.run = v.run AND m.task = v.task AND m.metric = v.metric
                   AND m.extraction = v.extraction)
            ELSE v.value END AS enforce_value,
       CASE WHEN r.guard_mode <> 'enforce' THEN v.outcome
            WHEN i.action IS NOT NULL THEN 'blocked_input'
            WHEN o.action IS NOT NULL THEN 'blocked_output'
            ELSE v.outcome END AS outcome
FROM verdict v
JOIN run r ON r.run = v.run
LEFT JOIN guard_event i ON i.run = v.run AND i.task = v.task AND i.doc_id = v.doc_id
                       AND i.repeat = 0 AND i.stage = 'input' AND i.action = 'block'
LEFT JOIN guard_event o ON o.run = v.run AND o.task = v.task AND o.doc_id = v.doc_id
                       AND o.repeat = v.repeat AND o.stage = 'output' AND o.action = 'block';

-- A document's value is the mean over its scored repeats: documents are the unit of every interval.
CREATE VIEW doc_score AS
SELECT run, task, metric, extraction, doc_id,
       avg(off_value) AS off_value, count(off_value) AS off_scored,
       avg(enforce_value) AS enforce_value, count(enforce_value) AS enforce_scored,
       sum(input_blocked) AS input_blocked,
       sum(output_blocked AND NOT input_blocked) AS output_blocked,
       sum(off_value IS NULL AND (input_blocked OR output_blocked)) AS unheard
FROM guarded_verdict
GROUP BY run, task, metric, extraction, doc_id;

-- The table's rows.  `off` is NULL when a guard kept replies from being made or heard: the mean of
-- the others would flatter or slander the model.  Variances are of documents, with n - 1; scores
-- are numbers near 1, so one pass over their squares is exact enough.
CREATE VIEW score AS
WITH size AS (
    SELECT t.run, t.task, t.repeats, count(s.doc_id) AS n_docs
    FROM task_run t LEFT JOIN sample s ON s.run = t.run AND s.task = t.task
    GROUP BY t.run, t.task
), centre AS (
    SELECT run, task, metric, extraction,
           count(off_value) AS off_n, avg(off_value) AS off_mean,
           sum(off_value * off_value) AS off_squares, sum(off_scored) AS off_scored,
           count(enforce_value) AS enforce_n, avg(enforce_value) AS enforce_mean,
           sum(enforce_value * enforce_value) AS enforce_squares,
           sum(enforce_scored) AS enforce_scored,
           sum(input_blocked) AS blocked_input, sum(output_blocked) AS blocked_output,
           sum(unheard) AS unheard
    FROM doc_score GROUP BY run, task, metric, extraction
)
SELECT m.run, m.task, m.metric, m.extraction, m.position, m.higher_is_better,
       z.n_docs, z.repeats, z.n_docs * z.repeats AS n_total,
       CASE WHEN c.unheard > 0 THEN NULL ELSE c.off_mean END AS off_mean,
       CASE WHEN c.off_n > 1 THEN
           max(0, (c.off_squares - c.off_n * c.off_mean * c.off_mean) / (c.off_n - 1))
           END AS off_variance,
       coalesce(c.off_n, 0) AS off_n, coalesce(c.off_scored, 0) AS off_scored,
       c.enforce_mean,
       CASE WHEN c.enforce_n > 1 THEN
           max(0, (c.enforce_squares - c.enforce_n * c.enforce_mean * c.enforce_mean) /
                  (c.enforce_n - 1))
           END AS enforce_variance,
       coalesce(c.enforce_n, 0) AS enforce_n, coalesce(c.enforce_scored, 0) AS enforce_scored,
       CASE WHEN r.guard_mode <> 'off' THEN coalesce(c.blocked_input, 0) END AS blocked_input,
       CASE WHEN r.guard_mode <> 'off' THEN coalesce(c.blocked_output, 0) END AS blocked_output
FROM task_metric m
JOIN run r ON r.run = m.run
JOIN size z ON z.run = m.run AND z.task = m.task
LEFT JOIN centre c ON c.run = m.run AND c.task = m.task AND c.metric = m.metric
                  AND c.extraction = m.extraction;

-- Every task below a group, at any depth.
CREATE VIEW group_leaf AS
WITH RECURSIVE above (run, task, group_name) AS (
    SELECT run, task, group_name FROM task_group_member
    UNION
    SELECT a.run, a.task, g.parent
    FROM above a JOIN task_group g ON g.run = a.run AND g.group_name = a.group_name
    WHERE g.parent IS NOT NULL
)
SELECT run, group_name, task FROM above;

-- Micro means weigh tasks by their documents; the variance is pooled within tasks, and a standard
-- error is sqrt(variance / n), as in lm-evaluation-harness.  A group is known when all of it is.
CREATE VIEW group_score AS
SELECT l.run, l.group_name, s.metric, s.extraction, min(s.position) AS position,
       min(s.higher_is_better) AS higher_is_better, count(*) AS n_tasks,
       sum(s.n_docs) AS n_docs, sum(s.n_total) AS n_total,
       CASE WHEN count(s.off_mean) = count(*)
            THEN sum(s.off_mean * s.off_n) / sum(s.off_n) END AS off_mean,
       CASE WHEN count(s.off_mean) = count(*) THEN avg(s.off_mean) END AS off_macro,
       CASE WHEN sum(s.off_n) > count(*)
            THEN sum((s.off_n - 1) * coalesce(s.off_variance, 0)) / (sum(s.off_n) - count(*))
            END AS off_variance,
       sum(s.off_n) AS off_n, sum(s.off_scored) AS off_scored,
       CASE WHEN count(s.enforce_mean) = count(*)
            THEN sum(s.enforce_mean * s.enforce_n) / sum(s.enforce_n) END AS enforce_mean,
       CASE WHEN count(s.enforce_mean) = count(*) THEN avg(s.enforce_mean) END AS enforce_macro,
       CASE WHEN sum(s.enforce_n) > count(*)
            THEN sum((s.enforce_n - 1) * coalesce(s.enforce_variance, 0)) /
                 (sum(s.enforce_n) - count(*)) END AS enforce_variance,
       sum(s.enforce_n) AS enforce_n, sum(s.enforce_scored) AS enforce_scored,
       sum(s.blocked_input) AS blocked_input, sum(s.blocked_output) AS blocked_output
FROM group_leaf l JOIN score s ON s.run = l.run AND s.task = l.task
GROUP BY l.run, l.group_name, s.metric, s.extraction;

CREATE VIEW outcome_count AS
SELECT run, task, metric, extraction, outcome, count(*) AS n
FROM guarded_verdict
GROUP BY run, task, metric, extraction, outcome;

CREATE VIEW group_outcome_count AS
SELECT l.run, l.group_name, o.metric, o.extraction, o.outcome, sum(o.n) AS n
FROM group_leaf l JOIN outcome_count o ON o.run = l.run AND o.task = l.task
GROUP BY l.run, l.group_name, o.metric, o.extraction, o.outcome;

CREATE VIEW sample_count AS
SELECT run, task, state, count(*) AS n FROM sample GROUP BY run, task, state;

-- Groups and tasks in table order: `path` sorts a group before what is in it.
CREATE VIEW task_tree AS
WITH RECURSIVE node (run, name, parent, position, is_group) AS (
    SELECT run, group_name, parent, position, 1 FROM task_group
    UNION ALL
    SELECT t.run, t.task, m.group_name, t.position, 0
    FROM task_run t LEFT JOIN task_group_member m ON m.run = t.run AND m.task = t.task
), walk (run, name, is_group, depth, path) AS (
    SELECT run, name, is_group, 0, printf('%08d%s', position, name)
    FROM node WHERE parent IS NULL
    UNION ALL
    SELECT n.run, n.name, n.is_group, w.depth + 1,
           w.path || '/' || printf('%08d%s', n.position, n.name)
    FROM walk w JOIN node n ON n.run = w.run AND n.parent = w.name
    WHERE w.is_group AND w.depth < 8
)
SELECT run, name, is_group, depth, path FROM walk;

-- What the benchmark table prints, tasks and groups alike.
CREATE VIEW table_row AS
SELECT s.run, s.task AS name, 0 AS is_group, t.version, t.profile, t.num_fewshot, t.repeats,
       s.metric, s.extraction, s.position, s.higher_is_better, 1 AS n_tasks, s.n_docs, s.n_total,
       s.off_mean, s.off_mean AS off_macro, s.off_variance, s.off_n, s.off_scored,
       s.enforce_mean, s.enforce_mean AS enforce_macro, s.enforce_variance, s.enforce_n,
       s.enforce_scored, s.blocked_input, s.blocked_output
FROM score s JOIN task_run t ON t.run = s.run AND t.task = s.task
UNION ALL
SELECT s.run, s.group_name, 1, g.version,
       (SELECT CASE WHEN min(t.profile) = max(t.profile) THEN min(t.profile) END
        FROM group_leaf l JOIN task_run t ON t.run = l.run AND t.task = l.task
        WHERE l.run = s.run AND l.group_name = s.group_name),
       (SELECT CASE WHEN min(t.num_fewshot) = max(t.num_fewshot) THEN min(t.num_fewshot) END
        FROM group_leaf l JOIN task_run t ON t.run = l.run AND t.task = l.task
        WHERE l.run = s.run AND l.group_name = s.group_name),
       NULL,
       s.metric, s.extraction, s.position, s.higher_is_better, s.n_tasks, s.n_docs, s.n_total,
       s.off_mean, s.off_macro, s.off_variance, s.off_n, s.off_scored,
       s.enforce_mean, s.enforce_macro, s.enforce_variance, s.enforce_n,
       s.enforce_scored, s.blocked_input, s.blocked_output
FROM group_score s JOIN task_group g ON g.run = s.run AND g.group_name = s.group_name;
