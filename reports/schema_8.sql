-- The store, version 8: means that do not depend on the order in which values are added up, so that
-- a sweep says what an enforce run says to the last bit.
--
-- A value is a whole number of 2^-21 and a rest, a whole number of 2^-61 (what is smaller is left
-- out), and whole numbers add up the same in any order, and come off again.  A mean is
-- (sum of wholes + sum of rests / 2^40) / (2^21 n), rounded in these three places alone.
-- 2097152 is 2^21, 1099511627776 is 2^40.  Values of four million and more, such as the logarithm
-- of 0, are no part of it: where there is one the mean is SQLite's own, and a sweep leaves its
-- document out.

DROP VIEW guard_sweep;
DROP VIEW doc_score;
DROP VIEW score;

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
), scaled AS (
    SELECT *, CASE WHEN abs(off_value) < 4e6 THEN off_value * 2097152 END AS off_scaled,
           CASE WHEN abs(enforce_value) < 4e6 THEN enforce_value * 2097152 END AS enforce_scaled
    FROM metric_verdict WHERE best_of = 1
), split AS (
    SELECT *, CAST(off_scaled AS INTEGER) AS off_whole,
           CAST((off_scaled - CAST(off_scaled AS INTEGER)) * 1099511627776 AS INTEGER) AS off_rest,
           CAST(enforce_scaled AS INTEGER) AS enforce_whole,
           CAST((enforce_scaled - CAST(enforce_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS enforce_rest
    FROM scaled
)
SELECT run, task, metric, extraction, doc_id,
       CASE WHEN count(off_value) = count(off_whole)
            THEN (sum(off_whole) + sum(off_rest) / 1099511627776.0) /
                 (2097152.0 * count(off_value))
            ELSE avg(off_value) END AS off_value,
       count(off_value) AS off_scored,
       CASE WHEN count(enforce_value) = count(enforce_whole)
            THEN (sum(enforce_whole) + sum(enforce_rest) / 1099511627776.0) /
                 (2097152.0 * count(enforce_value))
            ELSE avg(enforce_value) END AS enforce_value,
       count(enforce_value) AS enforce_scored,
       sum(input_blocked) AS input_blocked,
       sum(output_blocked AND NOT input_blocked) AS output_blocked,
       sum(off_value IS NULL AND (input_blocked OR output_blocked)) AS unheard
FROM split
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

CREATE VIEW score AS
WITH size AS (
    SELECT m.run, m.task, m.metric, m.extraction, t.repeats, count(s.doc_id) AS n_docs
    FROM task_metric m
    JOIN task_run t ON t.run = m.run AND t.task = m.task
    LEFT JOIN sample s ON s.run = m.run AND s.task = m.task
                      AND (m.stratum IS NULL OR m.stratum = s.stratum)
    GROUP BY m.run, m.task, m.metric, m.extraction
), scaled AS (
    SELECT *, CASE WHEN abs(off_value) < 4e6 THEN off_value * 2097152 END AS off_scaled,
           CASE WHEN abs(enforce_value) < 4e6 THEN enforce_value * 2097152 END AS enforce_scaled
    FROM doc_score
), split AS (
    SELECT *, CAST(off_scaled AS INTEGER) AS off_whole,
           CAST((off_scaled - CAST(off_scaled AS INTEGER)) * 1099511627776 AS INTEGER) AS off_rest,
           CAST(enforce_scaled AS INTEGER) AS enforce_whole,
           CAST((enforce_scaled - CAST(enforce_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS enforce_rest
    FROM scaled
), centre AS (
    SELECT run, task, metric, extraction,
           count(off_value) AS off_n,
           CASE WHEN count(off_value) = count(off_whole)
                THEN (sum(off_whole) + sum(off_rest) / 1099511627776.0) /
                     (2097152.0 * count(off_value))
                ELSE avg(off_value) END AS off_mean,
           sum(off_value * off_value) AS off_squares, sum(off_scored) AS off_scored,
           count(enforce_value) AS enforce_n,
           CASE WHEN count(enforce_value) = count(enforce_whole)
                THEN (sum(enforce_whole) + sum(enforce_rest) / 1099511627776.0) /
                     (2097152.0 * count(enforce_value))
                ELSE avg(enforce_value) END AS enforce_mean,
           sum(enforce_value * enforce_value) AS enforce_squares,
           sum(enforce_scored) AS enforce_scored,
           sum(input_blocked) AS blocked_input, sum(output_blocked) AS blocked_output,
           sum(unheard) AS unheard
    FROM split GROUP BY run, task, metric, extraction
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

-- The sweep: what a guard of this one rule, refusing at `threshold`, would do, at every threshold
-- where that changes.  A document's mean changes where one of its replies is refused, so `level` has
-- it before and after each of its peaks, and a threshold's mean is the first one of all documents
-- and what has changed since.  A reply that was not scored has a value once it is refused.
-- `n_docs` have a mean without a guard; `change` and `change_squares` are summed over them, of enforce
-- less off.  `good_here` and `bad_here` are the replies with exactly this peak.
CREATE VIEW guard_sweep AS
WITH scaled AS (
    SELECT *, CASE WHEN abs(off_value) < 4e6 THEN off_value * 2097152 END AS scaled,
           blocked_value * 2097152 AS blocked_scaled
    FROM guard_peak
), at_peak AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, peak,
           blocked_scaled, count(*) AS n, count(scaled) AS heard, sum(is_good IS 1) AS good,
           sum(is_good IS 0) AS bad, coalesce(sum(CAST(scaled AS INTEGER)), 0) AS whole,
           coalesce(sum(CAST((scaled - CAST(scaled AS INTEGER)) * 1099511627776 AS INTEGER)), 0)
               AS rest,
           CAST(blocked_scaled AS INTEGER) AS blocked_whole,
           CAST((blocked_scaled - CAST(blocked_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS blocked_rest
    FROM scaled
    GROUP BY run, task, metric, extraction, stage, classifier_sha256, category, doc_id, peak
), level AS (
    SELECT *, sum(n) OVER above AS n_refused,
           sum(heard) OVER document - sum(heard) OVER above AS n_heard,
           sum(whole) OVER document - sum(whole) OVER above AS heard_whole,
           sum(rest) OVER document - sum(rest) OVER above AS heard_rest,
           CASE WHEN sum(heard) OVER document > 0
                THEN (sum(whole) OVER document + sum(rest) OVER document / 1099511627776.0) /
                     (2097152.0 * sum(heard) OVER document) * 2097152 END AS off
    FROM at_peak
    WINDOW document AS (PARTITION BY run, task, metric, extraction, stage, classifier_sha256,
                        category, doc_id),
           above AS (PARTITION BY run, task, metric, extraction, stage, classifier_sha256,
                     category, doc_id ORDER BY peak DESC)
), mean AS (
    SELECT *,
           CASE WHEN n_heard + heard + n_refused - n > 0
                THEN (heard_whole + whole + (n_refused - n) * blocked_whole +
                      (heard_rest + rest + (n_refused - n) * blocked_rest) / 1099511627776.0) /
                     (2097152.0 * (n_heard + heard + n_refused - n)) * 2097152 END AS before,
           (heard_whole + n_refused * blocked_whole +
            (heard_rest + n_refused * blocked_rest) / 1099511627776.0) /
           (2097152.0 * (n_heard + n_refused)) * 2097152 AS after
    FROM level
), split AS (
    SELECT *, CAST(before AS INTEGER) AS before_whole,
           CAST((before - CAST(before AS INTEGER)) * 1099511627776 AS INTEGER) AS before_rest,
           CAST(after AS INTEGER) AS after_whole,
           CAST((after - CAST(after AS INTEGER)) * 1099511627776 AS INTEGER) AS after_rest
    FROM mean
), step AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, peak AS threshold,
           sum(n) AS n, sum(good) AS good, sum(bad) AS bad,
           total((after - before) * (off IS NOT NULL)) / 2097152 AS change,
           total((after - off) * (after - off) - (before - off) * (before - off)) /
               (2097152.0 * 2097152.0) AS squares,
           count(*) - count(before) AS more,
           sum(after_whole) - coalesce(sum(before_whole), 0) AS whole,
           sum(after_rest) - coalesce(sum(before_rest), 0) AS rest
    FROM split
    GROUP BY run, task, metric, extraction, stage, classifier_sha256, category, peak
), total AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, sum(n) AS n,
           sum(good) AS good, sum(bad) AS bad,
           count(CASE WHEN n_refused = n THEN before END) AS n_docs,
           coalesce(sum(CASE WHEN n_refused = n THEN before_whole END), 0) AS whole,
           coalesce(sum(CASE WHEN n_refused = n THEN before_rest END), 0) AS rest
    FROM split
    GROUP BY run, task, metric, extraction, stage, classifier_sha256, category
)
SELECT s.run, s.task, s.metric, s.extraction, s.stage, s.classifier_sha256, s.category,
       s.threshold, w.n, w.n_docs, sum(s.n) OVER above AS n_blocked,
       w.good AS n_good, sum(s.good) OVER above AS n_good_blocked,
       w.bad AS n_bad, sum(s.bad) OVER above AS n_bad_blocked,
       CASE WHEN w.n_docs > 0
            THEN (w.whole + w.rest / 1099511627776.0) / (2097152.0 * w.n_docs) END AS off_mean,
       (w.whole + sum(s.whole) OVER above +
        (w.rest + sum(s.rest) OVER above) / 1099511627776.0) /
       (2097152.0 * (w.n_docs + sum(s.more) OVER above)) AS enforce_mean,
       sum(s.change) OVER above AS change, sum(s.squares) OVER above AS change_squares, s.good AS good_here, s.bad AS bad_here
FROM step s
JOIN total w ON w.run = s.run AND w.task = s.task AND w.metric = s.metric
            AND w.extraction = s.extraction AND w.stage = s.stage
            AND w.classifier_sha256 = s.classifier_sha256 AND w.category = s.category
WINDOW above AS (PARTITION BY s.run, s.task, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold DESC);
