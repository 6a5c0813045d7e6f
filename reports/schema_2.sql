-- Version 1 to 2: a metric need not have a direction.  Foreign keys are off meanwhile
-- (results_store.c), so the table may be replaced under those that refer to it.

DROP VIEW IF EXISTS guarded_verdict;
DROP VIEW IF EXISTS doc_score;
DROP VIEW IF EXISTS score;
DROP VIEW IF EXISTS group_leaf;
DROP VIEW IF EXISTS group_score;
DROP VIEW IF EXISTS outcome_count;
DROP VIEW IF EXISTS group_outcome_count;
DROP VIEW IF EXISTS sample_count;
DROP VIEW IF EXISTS task_tree;
DROP VIEW IF EXISTS table_row;
DROP VIEW IF EXISTS metric_verdict;
DROP VIEW IF EXISTS score_at_k;
DROP VIEW IF EXISTS extraction_disagreement;
DROP VIEW IF EXISTS task_root;
DROP VIEW IF EXISTS guard_call;
DROP VIEW IF EXISTS guard_call_count;
DROP VIEW IF EXISTS guard_latency;
DROP VIEW IF EXISTS guard_tokens;
DROP VIEW IF EXISTS guard_peak;
DROP VIEW IF EXISTS guard_sweep;
DROP VIEW IF EXISTS guard_roc;

PRAGMA legacy_alter_table = ON; -- views that somebody else made are not looked at
CREATE TABLE task_metric_2 (
    run              TEXT NOT NULL,
    task             TEXT NOT NULL,
    metric           TEXT NOT NULL,
    extraction       TEXT NOT NULL,
    position         INTEGER NOT NULL,
    higher_is_better INTEGER CHECK (higher_is_better IN (0, 1)), -- NULL: nor is less
    blocked_value    REAL,
    source           TEXT,
    best_of          INTEGER NOT NULL DEFAULT 1 CHECK (best_of > 0),
    stratum          TEXT,
    PRIMARY KEY (run, task, metric, extraction),
    FOREIGN KEY (run, task) REFERENCES task_run (run, task)
) WITHOUT ROWID;
INSERT INTO task_metric_2
SELECT run, task, metric, extraction, position, higher_is_better, blocked_value, source, best_of,
       stratum
FROM task_metric;
DROP TABLE task_metric;
ALTER TABLE task_metric_2 RENAME TO task_metric;
PRAGMA legacy_alter_table = OFF;
