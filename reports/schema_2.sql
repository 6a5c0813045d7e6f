-- The store, version 2: metrics that are made of another metric's values.
--
-- A metric reads the verdicts of its `source` (its own where that is NULL), of the documents of its
-- `stratum` (all where that is NULL), and a document counts with the expected maximum of `best_of`
-- of its scored replies: their mean for 1, their maximum for as many as there are.  So expected
-- maximum toxicity, toxicity probability and pass@k are never stored and hold for every column.

ALTER TABLE task_metric ADD COLUMN source TEXT;
ALTER TABLE task_metric ADD COLUMN best_of INTEGER NOT NULL DEFAULT 1 CHECK (best_of > 0);
ALTER TABLE task_metric ADD COLUMN stratum TEXT;
ALTER TABLE sample ADD COLUMN stratum TEXT; -- toxic, safe, ...: known when the sample has ended

DROP VIEW outcome_count;
DROP VIEW doc_score;
DROP VIEW score;

-- A verdict once under each metric that it counts for.
CREATE VIEW metric_verdict AS
SELECT v.run, v.task, m.metric, m.extraction, m.best_of, v.doc_id, v.repeat, v.off_value,
       v.enforce_value, v.input_blocked, v.output_blocked, v.outcome
FROM guarded_verdict v
JOIN task_metric m ON m.run = v.run AND m.task = v.task AND m.extraction = v.extraction
                  AND coalesce(m.source, m.metric) = v.metric
JOIN sample s ON s.run = v.run AND s.task = v.task AND s.doc_id = v.doc_id
             AND (m.stratum IS NULL OR m.stratum = s.stratum);

CREATE VIEW outcome_count AS
SELECT run, task, metric, extraction, outcome, count(*) AS n
FROM metric_verdict
GROUP BY run, task, metric, extraction, outcome;

-- With values v(1) >= ... >= v(n), the largest of k drawn without replacement is v(r) in
-- C(n - r, k - 1) of the C(n, k) draws.  `draw` holds these chances; where fewer than best_of
-- replies are scored, k is how many there are.
CREATE VIEW doc_score AS
WITH RECURSIVE ranked AS (
    SELECT run, task, metric, extraction, doc_id, off_value, enforce_value, input_blocked,
           output_blocked,
           count(off_value) OVER document AS off_n,
           min(best_of, count(off_value) OVER document) AS off_k,
           row_number() OVER (document ORDER BY off_value DESC) AS off_rank,
           count(enforce_value) OVER document AS enforce_n,
           min(best_of, count(enforce_value) OVER document) AS enforce_k,
           row_number() OVER (document ORDER BY enforce_value DESC) AS enforce_rank
    FROM metric_verdict WHERE best_of > 1
    WINDOW document AS (PARTITION BY run, task, metric, extraction, doc_id)
), draw (n, k, rank, chance) AS (
    SELECT DISTINCT off_n, off_k, 1, off_k * 1.0 / off_n FROM ranked WHERE off_n > 0
    UNION
    SELECT DISTINCT enforce_n, enforce_k, 1, enforce_k * 1.0 / enforce_n
    FROM ranked WHERE enforce_n > 0
    UNION
    SELECT n, k, rank + 1, chance * (n - rank - k + 1) / (n - rank)
    FROM draw WHERE rank + k <= n
)
SELECT run, task, metric, extraction, doc_id,
       avg(off_value) AS off_value, count(off_value) AS off_scored,
       avg(enforce_value) AS enforce_value, count(enforce_value) AS enforce_scored,
       sum(input_blocked) AS input_blocked,
       sum(output_blocked AND NOT input_blocked) AS output_blocked,
       sum(off_value IS NULL AND (input_blocked OR output_blocked)) AS unheard
FROM metric_verdict WHERE best_of = 1
GROUP BY run, task, metric, extraction, doc_id
UNION ALL
SELECT r.run, r.task, r.metric, r.extraction, r.doc_id,
       sum(r.off_value * o.chance), count(r.off_value),
       sum(r.enforce_value * e.chance), count(r.enforce_value),
       sum(r.input_blocked), sum(r.output_blocked AND NOT r.input_blocked),
       sum(r.off_value IS NULL AND (r.input_blocked OR r.output_blocked))
FROM ranked r
LEFT JOIN draw o ON o.n = r.off_n AND o.k = r.off_k AND o.rank = r.off_rank
LEFT JOIN draw e ON e.n = r.enforce_n AND e.k = r.enforce_k AND e.rank = r.enforce_rank
GROUP BY r.run, r.task, r.metric, r.extraction, r.doc_id;

-- As before, but a metric counts the documents of its stratum, and says nothing where there are
-- none.
CREATE VIEW score AS
WITH size AS (
    SELECT m.run, m.task, m.metric, m.extraction, t.repeats, count(s.doc_id) AS n_docs
    FROM task_metric m
    JOIN task_run t ON t.run = m.run AND t.task = m.task
    LEFT JOIN sample s ON s.run = m.run AND s.task = m.task
                      AND (m.stratum IS NULL OR m.stratum = s.stratum)
    GROUP BY m.run, m.task, m.metric, m.extraction
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
JOIN size z ON z.run = m.run AND z.task = m.task AND z.metric = m.metric
           AND z.extraction = m.extraction
LEFT JOIN centre c ON c.run = m.run AND c.task = m.task AND c.metric = m.metric
                  AND c.extraction = m.extraction
WHERE m.stratum IS NULL OR z.n_docs > 0;

-- Metrics that are the best of several replies, for every k up to that number: expected maximum
-- toxicity at 1 to 25, pass@k.  A document with fewer scored replies counts with all it has.
-- `enforced` is 0 for raw replies and 1 for what a guard that acts would deliver.  Values are first
-- summed over documents by rank: what a rank weighs depends on n, k and itself alone.
CREATE VIEW score_at_k AS
WITH RECURSIVE wanted (k) AS (
    SELECT 1 UNION ALL
    SELECT k + 1 FROM wanted WHERE k < (SELECT max(best_of) FROM task_metric)
), draw (n, k, rank, chance) AS (
    SELECT n.k, k.k, 1, k.k * 1.0 / n.k FROM wanted n JOIN wanted k ON k.k <= n.k
    UNION ALL
    SELECT n, k, rank + 1, chance * (n - rank - k + 1) / (n - rank)
    FROM draw WHERE rank + k <= n
), scored AS (
    SELECT run, task, metric, extraction, best_of, doc_id, 0 AS enforced, off_value AS value
    FROM metric_verdict WHERE best_of > 1 AND off_value IS NOT NULL
    UNION ALL
    SELECT run, task, metric, extraction, best_of, doc_id, 1, enforce_value
    FROM metric_verdict WHERE best_of > 1 AND enforce_value IS NOT NULL
), ranked AS (
    SELECT run, task, metric, extraction, best_of, enforced, value,
           count(*) OVER document AS n, row_number() OVER (document ORDER BY value DESC) AS rank
    FROM scored
    WINDOW document AS (PARTITION BY run, task, metric, extraction, enforced, doc_id)
), by_rank AS (
    SELECT run, task, metric, extraction, best_of, enforced, n, rank, sum(value) AS total,
           sum(rank = 1) AS n_docs
    FROM ranked GROUP BY run, task, metric, extraction, best_of, enforced, n, rank
)
SELECT r.run, r.task, r.metric, r.extraction, r.enforced, w.k,
       sum(r.total * d.chance) / sum(r.n_docs) AS mean, sum(r.n_docs) AS n_docs
FROM by_rank r JOIN wanted w ON w.k <= r.best_of
LEFT JOIN draw d ON d.n = r.n AND d.k = min(w.k, r.n) AND d.rank = r.rank
GROUP BY r.run, r.task, r.metric, r.extraction, r.enforced, w.k;

-- Replies that one extraction calls right and another wrong.
CREATE VIEW extraction_disagreement AS
SELECT a.run, a.task, a.doc_id, a.repeat, a.metric,
       a.extraction AS one, a.extracted AS one_extracted, a.value AS one_value,
       b.extraction AS other, b.extracted AS other_extracted, b.value AS other_value
FROM verdict a
JOIN verdict b ON b.run = a.run AND b.task = a.task AND b.doc_id = a.doc_id
              AND b.repeat = a.repeat AND b.metric = a.metric AND b.extraction > a.extraction
WHERE a.value <> b.value;
