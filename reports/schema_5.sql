-- The store, version 5: what remote classifiers said, kept so that nothing is asked twice; sweeps
-- that add up what is kept, so that where nothing is the score is that of nothing, to the bit.
--
-- The key is a digest of the classifier (its address and model), the prompt and the text.  Only
-- answers are here: a failure is asked again.  All runs of the file share them; `scored_at` is when
-- the service was asked, which for a service that changes says which one it was.

CREATE TABLE remote_score (
    key        TEXT NOT NULL CHECK (length(key) = 64),
    classifier TEXT NOT NULL,
    scores     TEXT NOT NULL, -- {"toxicity": [logit, probability], ...}
    scored_at  TEXT NOT NULL, -- ISO 8601, UTC
    PRIMARY KEY (key)
) WITHOUT ROWID;

-- The peak of every reply of a shadow run under every classifier and category of a stage, and under
-- 'any' harm, which a refusal is not, beside the reply's value.  Texts that a classifier failed on are left out.
DROP VIEW guard_peak;
CREATE VIEW guard_peak AS
WITH peaks AS (
    SELECT h.run, h.task, h.doc_id, h.repeat, h.stage, h.classifier_sha256, h.category, h.peak
    FROM hazard_score h WHERE h.peak IS NOT NULL AND h.error IS NULL
    UNION ALL
    SELECT h.run, h.task, h.doc_id, h.repeat, h.stage, h.classifier_sha256, 'any', max(h.peak)
    FROM hazard_score h WHERE h.peak IS NOT NULL AND h.category <> 'refusal'
    GROUP BY h.run, h.task, h.doc_id, h.repeat, h.stage, h.classifier_sha256
    HAVING count(h.error) = 0
)
SELECT v.run, v.task, v.metric, v.extraction, v.doc_id, v.repeat, p.stage, p.classifier_sha256,
       p.category, p.peak, v.off_value,
       (SELECT s.blocked_value FROM task_metric s
        WHERE s.run = m.run AND s.task = m.task AND s.metric = coalesce(m.source, m.metric)
          AND s.extraction = m.extraction) AS blocked_value,
       CASE WHEN v.off_value IS NOT NULL
            THEN (v.off_value >= 0.5) = m.higher_is_better END AS is_good
FROM metric_verdict v
JOIN run r ON r.run = v.run AND r.guard_mode = 'shadow'
JOIN task_metric m ON m.run = v.run AND m.task = v.task AND m.metric = v.metric
                  AND m.extraction = v.extraction
JOIN peaks p ON p.run = v.run AND p.task = v.task AND p.doc_id = v.doc_id
            AND p.repeat = CASE p.stage WHEN 'input' THEN 0 ELSE v.repeat END
WHERE v.best_of = 1;

-- The sweep: what a guard of this one rule, refusing at `threshold`, would do, at every threshold
-- where that changes.  `change_squares` is of the differences between enforce and off, reply by
-- reply; `good_here` and `bad_here` are the replies with exactly this peak.
DROP VIEW guard_sweep;
CREATE VIEW guard_sweep AS
WITH step AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, peak AS threshold,
           count(*) AS n, sum(is_good IS 1) AS good, sum(is_good IS 0) AS bad,
           coalesce(sum(CASE WHEN off_value IS NOT NULL THEN blocked_value END), 0) AS blocked,
           coalesce(sum(off_value), 0) AS value,
           coalesce(sum((blocked_value - off_value) * (blocked_value - off_value)), 0) AS squares
    FROM guard_peak
    GROUP BY run, task, metric, extraction, stage, classifier_sha256, category, peak
), whole AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, count(*) AS n,
           count(off_value) AS n_heard, sum(is_good IS 1) AS good, sum(is_good IS 0) AS bad,
           sum(off_value) AS value
    FROM guard_peak
    GROUP BY run, task, metric, extraction, stage, classifier_sha256, category
)
SELECT s.run, s.task, s.metric, s.extraction, s.stage, s.classifier_sha256, s.category,
       s.threshold, w.n, w.n_heard, sum(s.n) OVER above AS n_blocked,
       w.good AS n_good, sum(s.good) OVER above AS n_good_blocked,
       w.bad AS n_bad, sum(s.bad) OVER above AS n_bad_blocked,
       w.value / w.n_heard AS off_mean,
       (coalesce(sum(s.value) OVER below, 0) + sum(s.blocked) OVER above) / w.n_heard
           AS enforce_mean,
       sum(s.squares) OVER above AS change_squares, s.good AS good_here, s.bad AS bad_here
FROM step s
JOIN whole w ON w.run = s.run AND w.task = s.task AND w.metric = s.metric
            AND w.extraction = s.extraction AND w.stage = s.stage
            AND w.classifier_sha256 = s.classifier_sha256 AND w.category = s.category
WINDOW above AS (PARTITION BY s.run, s.task, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold DESC),
       below AS (PARTITION BY s.run, s.task, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
