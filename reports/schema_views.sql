-- The store, version 2: the views, which hold everything that is derived and printed.

-- One verdict with what a guard made, or would have made, of it.
CREATE VIEW guarded_verdict AS
SELECT v.run, v.task, v.doc_id, v.repeat, v.metric, v.extraction, v.extracted,
       v.value AS off_value,
       i.action IS NOT NULL AS input_blocked,
       coalesce(o.action = 'block', 0) AS output_blocked,
       CASE WHEN r.guard_mode = 'off' THEN NULL
            WHEN i.action IS NOT NULL OR o.action = 'block' THEN
                (SELECT m.blocked_value FROM task_metric m
                 WHERE m.run = v.run AND m.task = v.task AND m.metric = v.metric
                   AND m.extraction = v.extraction)
            WHEN o.response IN ('redact', 'regenerate') THEN v.delivered_value
            ELSE v.value END AS enforce_value,
       CASE WHEN r.guard_mode <> 'enforce' THEN v.outcome
            WHEN i.action IS NOT NULL THEN 'blocked_input'
            WHEN o.action = 'block' THEN 'blocked_output'
            WHEN o.response IN ('redact', 'regenerate')
                THEN coalesce(v.delivered_outcome, v.outcome)
            ELSE v.outcome END AS outcome
FROM verdict v
JOIN run r ON r.run = v.run
LEFT JOIN guard_event i ON i.run = v.run AND i.task = v.task AND i.doc_id = v.doc_id
                       AND i.repeat = 0 AND i.stage = 'input' AND i.action = 'block'
LEFT JOIN guard_event o ON o.run = v.run AND o.task = v.task AND o.doc_id = v.doc_id
                       AND o.repeat = v.repeat AND o.stage = 'output';

-- With values v(1) >= ... >= v(n), the largest of k drawn without replacement is v(r) in
-- C(n - r, k - 1) of the C(n, k) draws.  `draw` holds these chances; where fewer than best_of
-- replies are scored, k is how many there are.
--
-- Means do not depend on the order in which values are added up, so that a sweep says what an
-- enforce run says to the last bit.  A value is a whole number of 2^-21 and a rest, a whole number
-- of 2^-61 (what is smaller is left out), and whole numbers add up the same in any order, and come
-- off again.  A mean is (sum of wholes + sum of rests / 2^40) / (2^21 n), rounded in these three
-- places alone.  2097152 is 2^21, 1099511627776 is 2^40.  Values of four million and more, such as
-- the logarithm of 0, are no part of it: where there is one the mean is SQLite's own, and a sweep
-- leaves its document out.
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
), drawn AS (
    SELECT r.*, r.off_value * o.chance AS off_part, r.enforce_value * e.chance AS enforce_part,
           CASE WHEN abs(r.off_value) < 4e6 THEN r.off_value * o.chance * 2097152 END
               AS off_scaled,
           CASE WHEN abs(r.enforce_value) < 4e6 THEN r.enforce_value * e.chance * 2097152 END
               AS enforce_scaled
    FROM ranked r
    LEFT JOIN draw o ON o.n = r.off_n AND o.k = r.off_k AND o.rank = r.off_rank
    LEFT JOIN draw e ON e.n = r.enforce_n AND e.k = r.enforce_k AND e.rank = r.enforce_rank
), part AS (
    SELECT *, CAST(off_scaled AS INTEGER) AS off_whole,
           CAST((off_scaled - CAST(off_scaled AS INTEGER)) * 1099511627776 AS INTEGER) AS off_rest,
           CAST(enforce_scaled AS INTEGER) AS enforce_whole,
           CAST((enforce_scaled - CAST(enforce_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS enforce_rest
    FROM drawn
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
SELECT run, task, metric, extraction, doc_id,
       CASE WHEN count(off_part) = count(off_whole)
            THEN (sum(off_whole) + sum(off_rest) / 1099511627776.0) / 2097152.0
            ELSE sum(off_part) END,
       count(off_value),
       CASE WHEN count(enforce_part) = count(enforce_whole)
            THEN (sum(enforce_whole) + sum(enforce_rest) / 1099511627776.0) / 2097152.0
            ELSE sum(enforce_part) END,
       count(enforce_value),
       sum(input_blocked), sum(output_blocked AND NOT input_blocked),
       sum(off_value IS NULL AND (input_blocked OR output_blocked))
FROM part
GROUP BY run, task, metric, extraction, doc_id;

-- The table's rows.  `off` is NULL when a guard kept replies from being made or heard: the mean of
-- the others would flatter or slander the model.  Variances are of documents, with n - 1; scores
-- are numbers near 1, so one pass over their squares is exact enough.  A metric counts the documents
-- of its stratum, and says nothing where there are none.
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
WITH scaled AS (
    SELECT *, CASE WHEN abs(off_mean) < 4e6 THEN off_mean * off_n * 2097152 END AS off_scaled,
           CASE WHEN abs(enforce_mean) < 4e6 THEN enforce_mean * enforce_n * 2097152 END
               AS enforce_scaled
    FROM score
), part AS (
    SELECT *, CAST(off_scaled AS INTEGER) AS off_whole,
           CAST((off_scaled - CAST(off_scaled AS INTEGER)) * 1099511627776 AS INTEGER) AS off_rest,
           CAST(enforce_scaled AS INTEGER) AS enforce_whole,
           CAST((enforce_scaled - CAST(enforce_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS enforce_rest
    FROM scaled
)
SELECT l.run, l.group_name, s.metric, s.extraction, min(s.position) AS position,
       min(s.higher_is_better) AS higher_is_better, count(*) AS n_tasks,
       sum(s.n_docs) AS n_docs, sum(s.n_total) AS n_total,
       CASE WHEN count(s.off_mean) < count(*) THEN NULL
            WHEN count(s.off_whole) = count(*)
            THEN (sum(s.off_whole) + sum(s.off_rest) / 1099511627776.0) /
                 (2097152.0 * sum(s.off_n))
            ELSE sum(s.off_mean * s.off_n) / sum(s.off_n) END AS off_mean,
       CASE WHEN count(s.off_mean) = count(*) THEN avg(s.off_mean) END AS off_macro,
       CASE WHEN sum(s.off_n) > count(*)
            THEN sum((s.off_n - 1) * coalesce(s.off_variance, 0)) / (sum(s.off_n) - count(*))
            END AS off_variance,
       sum(s.off_n) AS off_n, sum(s.off_scored) AS off_scored,
       CASE WHEN count(s.enforce_mean) < count(*) THEN NULL
            WHEN count(s.enforce_whole) = count(*)
            THEN (sum(s.enforce_whole) + sum(s.enforce_rest) / 1099511627776.0) /
                 (2097152.0 * sum(s.enforce_n))
            ELSE sum(s.enforce_mean * s.enforce_n) / sum(s.enforce_n) END AS enforce_mean,
       CASE WHEN count(s.enforce_mean) = count(*) THEN avg(s.enforce_mean) END AS enforce_macro,
       CASE WHEN sum(s.enforce_n) > count(*)
            THEN sum((s.enforce_n - 1) * coalesce(s.enforce_variance, 0)) /
                 (sum(s.enforce_n) - count(*)) END AS enforce_variance,
       sum(s.enforce_n) AS enforce_n, sum(s.enforce_scored) AS enforce_scored,
       sum(s.blocked_input) AS blocked_input, sum(s.blocked_output) AS blocked_output
FROM group_leaf l JOIN part s ON s.run = l.run AND s.task = l.task
GROUP BY l.run, l.group_name, s.metric, s.extraction;

CREATE VIEW outcome_count AS
SELECT run, task, metric, extraction, outcome, count(*) AS n
FROM metric_verdict
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

-- A verdict once under each metric that it counts for.
CREATE VIEW metric_verdict AS
SELECT v.run, v.task, m.metric, m.extraction, m.best_of, v.doc_id, v.repeat, v.off_value,
       v.enforce_value, v.input_blocked, v.output_blocked, v.outcome
FROM guarded_verdict v
JOIN task_metric m ON m.run = v.run AND m.task = v.task AND m.extraction = v.extraction
                  AND coalesce(m.source, m.metric) = v.metric
JOIN sample s ON s.run = v.run AND s.task = v.task AND s.doc_id = v.doc_id
             AND (m.stratum IS NULL OR m.stratum = s.stratum);

-- Metrics that are the best of several replies, for every k up to that number: expected maximum
-- toxicity at 1 to 25, pass@k.  A document with fewer scored replies counts with all it has.
-- `enforced` is 0 for raw replies and 1 for what a guard that acts would deliver.  Values are first
-- summed over documents by rank: what a rank weighs depends on n, k and itself alone.
CREATE VIEW score_at_k AS
WITH RECURSIVE wanted (k) AS (
    SELECT 1 UNION ALL
    SELECT k + 1 FROM wanted WHERE k < (SELECT max(best_of) FROM task_metric)
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
), draw (n, k, rank, chance) AS (
    SELECT n.n, k.k, 1, k.k * 1.0 / n.n
    FROM (SELECT DISTINCT n FROM ranked) n JOIN wanted k ON k.k <= n.n
    UNION ALL
    SELECT n, k, rank + 1, chance * (n - rank - k + 1) / (n - rank)
    FROM draw WHERE rank + k <= n
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

-- The group at the top that a task is in, or itself.
CREATE VIEW task_root AS
SELECT t.run, t.task, coalesce(top.group_name, t.task) AS root, t.position
FROM task_run t
LEFT JOIN (SELECT l.run, l.task, l.group_name
           FROM group_leaf l JOIN task_group g ON g.run = l.run AND g.group_name = l.group_name
           WHERE g.parent IS NULL) top ON top.run = t.run AND top.task = t.task;

-- Every reply of a guarded run under every metric that reads it: the stage that stopped it first
-- (NULL: it passed), for which category (NULL: an error), and whether the reply was good: right, or
-- not toxic.  `is_good` is NULL where the reply was not heard, and where the metric has no direction
-- (`higher_is_better` is NULL).
CREATE VIEW guard_call AS
SELECT v.run, v.task, v.doc_id, v.repeat, v.metric, v.extraction,
       e.stage, e.category, e.verdict, e.response, m.higher_is_better,
       CASE WHEN v.off_value IS NOT NULL
            THEN (v.off_value >= 0.5) = m.higher_is_better END AS is_good
FROM metric_verdict v
JOIN task_metric m ON m.run = v.run AND m.task = v.task AND m.metric = v.metric
                  AND m.extraction = v.extraction
JOIN run r ON r.run = v.run AND r.guard_mode <> 'off'
LEFT JOIN guard_event e ON e.run = v.run AND e.task = v.task AND e.doc_id = v.doc_id
                       AND e.action = 'block'
                       AND e.stage = CASE WHEN v.input_blocked THEN 'input' ELSE 'output' END
                       AND e.repeat = CASE WHEN v.input_blocked THEN 0 ELSE v.repeat END
WHERE v.best_of = 1;

CREATE VIEW guard_call_count AS
SELECT run, task, metric, extraction, stage, category, count(*) AS n,
       CASE WHEN higher_is_better IS NOT NULL THEN sum(is_good IS 1) END AS good,
       CASE WHEN higher_is_better IS NOT NULL THEN sum(is_good IS 0) END AS bad,
       CASE WHEN higher_is_better IS NOT NULL THEN sum(is_good IS NULL) END AS unheard
FROM guard_call GROUP BY run, task, metric, extraction, stage, category;

-- Time added by each stage: nearest-rank percentiles over its events.
CREATE VIEW guard_latency AS
WITH ordered AS (
    SELECT e.run, t.root, e.stage, e.latency_seconds, e.n_checks,
           row_number() OVER (PARTITION BY e.run, t.root, e.stage ORDER BY e.latency_seconds)
               AS place,
           count(*) OVER (PARTITION BY e.run, t.root, e.stage) AS n
    FROM guard_event e JOIN task_root t ON t.run = e.run AND t.task = e.task
    WHERE e.latency_seconds IS NOT NULL
)
SELECT run, root, stage, n, sum(n_checks) AS n_checks,
       max(CASE WHEN place = (n * 50 + 99) / 100 THEN latency_seconds END) AS p50_seconds,
       max(CASE WHEN place = (n * 95 + 99) / 100 THEN latency_seconds END) AS p95_seconds
FROM ordered GROUP BY run, root, stage;

-- Tokens that enforce makes, or in shadow would make, and how many of them nobody sees: those of
-- replies that were refused or made again.  A prompt that is blocked costs none.
CREATE VIEW guard_tokens AS
WITH cost AS (
    SELECT p.run, t.root, coalesce(o.cut_at_token, p.n_tokens) AS first,
           coalesce(o.n_extra_tokens, 0) AS extra,
           o.response IN ('refuse', 'regenerate') AS is_first_wasted,
           o.action = 'block' AS is_all_wasted
    FROM reply p
    JOIN run r ON r.run = p.run AND r.guard_mode <> 'off'
    JOIN task_root t ON t.run = p.run AND t.task = p.task
    LEFT JOIN guard_event i ON i.run = p.run AND i.task = p.task AND i.doc_id = p.doc_id
                           AND i.repeat = 0 AND i.stage = 'input'
    LEFT JOIN guard_event o ON o.run = p.run AND o.task = p.task AND o.doc_id = p.doc_id
                           AND o.repeat = p.repeat AND o.stage = 'output'
    WHERE i.action IS NOT 'block'
)
SELECT run, root, sum(first + extra) AS n_tokens,
       sum(CASE WHEN is_first_wasted THEN first ELSE 0 END +
           CASE WHEN is_first_wasted AND is_all_wasted THEN extra ELSE 0 END) AS n_wasted
FROM cost GROUP BY run, root;

-- The peak of every reply of a shadow run under every classifier and category of a stage, and under
-- 'any' harm, which a refusal is not, beside the reply's value.  Texts that a classifier failed on
-- are left out.  Of several replies no single one is good or bad.
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
SELECT v.run, v.task, v.metric, v.extraction, v.best_of, v.doc_id, v.repeat, p.stage,
       p.classifier_sha256, p.category, p.peak, v.off_value,
       (SELECT s.blocked_value FROM task_metric s
        WHERE s.run = m.run AND s.task = m.task AND s.metric = coalesce(m.source, m.metric)
          AND s.extraction = m.extraction) AS blocked_value,
       CASE WHEN v.off_value IS NOT NULL AND v.best_of = 1
            THEN (v.off_value >= 0.5) = m.higher_is_better END AS is_good
FROM metric_verdict v
JOIN run r ON r.run = v.run AND r.guard_mode = 'shadow'
JOIN task_metric m ON m.run = v.run AND m.task = v.task AND m.metric = v.metric
                  AND m.extraction = v.extraction
JOIN peaks p ON p.run = v.run AND p.task = v.task AND p.doc_id = v.doc_id
            AND p.repeat = CASE p.stage WHEN 'input' THEN 0 ELSE v.repeat END;

-- The sweep: what a guard of this one rule, refusing at `threshold`, would do, at every threshold
-- where that changes.  A document's mean changes where one of its replies is refused, so `level` has
-- it before and after each of its peaks, and a threshold's mean is the first one of all documents
-- and what has changed since.  A reply that was not scored has a value once it is refused.  Where a
-- document counts with the best of several replies, `level` has all of them at each of its peaks.
-- `n_docs` have a mean without a guard; `change` and `change_squares` are summed over them, of enforce
-- less off.  `good_here` and `bad_here` are the replies with exactly this peak; of a metric without
-- a direction, or of several replies, no reply is good or bad, and the counts are NULL.
CREATE VIEW guard_sweep AS
WITH RECURSIVE scaled AS (
    SELECT *, CASE WHEN abs(off_value) < 4e6 THEN off_value * 2097152 END AS scaled,
           blocked_value * 2097152 AS blocked_scaled
    FROM guard_peak WHERE best_of = 1
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
), best_reply AS MATERIALIZED (
    SELECT p.*, t.repeats, dense_rank() OVER (
               ORDER BY p.run, p.task, p.metric, p.extraction, p.stage, p.classifier_sha256,
                        p.category, p.doc_id) AS document
    FROM guard_peak p JOIN task_run t ON t.run = p.run AND t.task = p.task
    WHERE p.best_of > 1
), of_all AS ( -- the best of all replies is the highest that is not refused
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, document,
           peak, count(*) AS n, max(off_value) AS value, max(blocked_value) AS blocked
    FROM best_reply WHERE best_of >= repeats GROUP BY document, peak
), of_some (document, peak) AS (
    SELECT document, peak FROM best_reply WHERE best_of < repeats
    UNION -- above all peaks nothing is refused
    SELECT document, 2 FROM best_reply WHERE best_of < repeats
), at_level AS (
    SELECT r.run, r.task, r.metric, r.extraction, r.stage, r.classifier_sha256, r.category,
           r.doc_id, l.document, l.peak, r.best_of, r.peak = l.peak AS is_here,
           CASE WHEN r.peak >= l.peak THEN r.blocked_value ELSE r.off_value END AS value
    FROM of_some l JOIN best_reply r ON r.document = l.document
), ranked AS MATERIALIZED (
    SELECT *, count(value) OVER level AS n_scored,
           row_number() OVER (level ORDER BY value DESC) AS rank
    FROM at_level WINDOW level AS (PARTITION BY document, peak)
), draw (n, k, rank, chance) AS ( -- as in doc_score
    SELECT DISTINCT n_scored, min(best_of, n_scored), 1, min(best_of, n_scored) * 1.0 / n_scored
    FROM ranked WHERE n_scored > 0
    UNION
    SELECT n, k, rank + 1, chance * (n - rank - k + 1) / (n - rank)
    FROM draw WHERE rank + k <= n
), part AS (
    SELECT r.run, r.task, r.metric, r.extraction, r.stage, r.classifier_sha256, r.category,
           r.doc_id, r.document, r.peak, r.is_here, r.value * d.chance AS value
    FROM ranked r
    LEFT JOIN draw d ON d.n = r.n_scored AND d.k = min(r.best_of, r.n_scored) AND d.rank = r.rank
    UNION ALL
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, document,
           peak, n, max(coalesce(max(value) OVER below, blocked), blocked)
    FROM of_all
    WINDOW below AS (PARTITION BY document ORDER BY peak
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    UNION ALL
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, document,
           2, 0, max(value)
    FROM of_all GROUP BY document
), part_scaled AS (
    SELECT *, CASE WHEN abs(value) < 4e6 THEN value * 2097152 END AS scaled FROM part
), best AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, document,
           peak, sum(is_here) AS n,
           CASE WHEN count(value) = count(scaled)
                THEN (sum(CAST(scaled AS INTEGER)) +
                      sum(CAST((scaled - CAST(scaled AS INTEGER)) * 1099511627776 AS INTEGER)) /
                          1099511627776.0) / 2097152.0 * 2097152 END AS value
    FROM part_scaled GROUP BY document, peak
), best_mean AS (
    SELECT *, sum(n) OVER above AS n_refused, first_value(value) OVER above AS off,
           lag(value) OVER above AS before
    FROM best WINDOW above AS (PARTITION BY document ORDER BY peak DESC)
), both AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, peak, n,
           n_refused, good, bad, off, before, after
    FROM mean
    UNION ALL
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, doc_id, peak, n,
           n_refused, 0, 0, off, before, value
    FROM best_mean WHERE peak < 2
), split AS (
    SELECT *, CAST(before AS INTEGER) AS before_whole,
           CAST((before - CAST(before AS INTEGER)) * 1099511627776 AS INTEGER) AS before_rest,
           CAST(after AS INTEGER) AS after_whole,
           CAST((after - CAST(after AS INTEGER)) * 1099511627776 AS INTEGER) AS after_rest
    FROM both
), step AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, peak AS threshold,
           sum(n) AS n, sum(good) AS good, sum(bad) AS bad,
           total((after - before) * (off IS NOT NULL)) / 2097152 AS change,
           total((after - off) * (after - off) - (before - off) * (before - off)) /
               (2097152.0 * 2097152.0) AS squares,
           count(after) - count(before) AS more,
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
       s.threshold, w.n, w.n_docs, w.n_docs + sum(s.more) OVER above AS n_enforced,
       sum(s.n) OVER above AS n_blocked,
       w.good + m.none AS n_good, sum(s.good) OVER above + m.none AS n_good_blocked,
       w.bad + m.none AS n_bad, sum(s.bad) OVER above + m.none AS n_bad_blocked,
       CASE WHEN w.n_docs > 0
            THEN (w.whole + w.rest / 1099511627776.0) / (2097152.0 * w.n_docs) END AS off_mean,
       (w.whole + sum(s.whole) OVER above +
        (w.rest + sum(s.rest) OVER above) / 1099511627776.0) /
       (2097152.0 * (w.n_docs + sum(s.more) OVER above)) AS enforce_mean,
       sum(s.change) OVER above AS change, sum(s.squares) OVER above AS change_squares,
       s.good + m.none AS good_here, s.bad + m.none AS bad_here
FROM step s
JOIN (SELECT run, task, metric, extraction,
             CASE WHEN best_of = 1 THEN 0 * higher_is_better END AS none FROM task_metric) m
  ON m.run = s.run AND m.task = s.task AND m.metric = s.metric AND m.extraction = s.extraction
JOIN total w ON w.run = s.run AND w.task = s.task AND w.metric = s.metric
            AND w.extraction = s.extraction AND w.stage = s.stage
            AND w.classifier_sha256 = s.classifier_sha256 AND w.category = s.category
WINDOW above AS (PARTITION BY s.run, s.task, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold DESC);

-- The same of groups: a rule at one threshold for all tasks of a group, by its micro mean (as
-- group_score).  A group has a sweep where each of its tasks has one.
CREATE VIEW group_sweep AS
WITH scaled AS (
    SELECT l.group_name, s.*, coalesce(s.off_mean * s.n_docs * 2097152, 0) AS off_scaled,
           s.enforce_mean * s.n_enforced * 2097152 AS enforce_scaled
    FROM group_leaf l JOIN guard_sweep s ON s.run = l.run AND s.task = l.task
), split AS (
    SELECT *, CAST(off_scaled AS INTEGER) AS off_whole,
           CAST((off_scaled - CAST(off_scaled AS INTEGER)) * 1099511627776 AS INTEGER) AS off_rest,
           CAST(enforce_scaled AS INTEGER) AS whole,
           CAST((enforce_scaled - CAST(enforce_scaled AS INTEGER)) * 1099511627776 AS INTEGER)
               AS rest
    FROM scaled
), changed AS ( -- what a task's threshold changes in its group
    SELECT *, row_number() OVER above = 1 AS is_first,
           n_blocked - lag(n_blocked, 1, 0) OVER above AS more_blocked,
           n_enforced - lag(n_enforced, 1, n_docs) OVER above AS more_enforced,
           whole - lag(whole, 1, off_whole) OVER above AS more_whole,
           rest - lag(rest, 1, off_rest) OVER above AS more_rest,
           change - lag(change, 1, 0.0) OVER above AS more_change,
           change_squares - lag(change_squares, 1, 0.0) OVER above AS more_squares
    FROM split
    WINDOW above AS (PARTITION BY run, group_name, task, metric, extraction, stage,
                     classifier_sha256, category ORDER BY threshold DESC)
), total AS (
    SELECT run, group_name, metric, extraction, stage, classifier_sha256, category,
           count(*) AS n_tasks, sum(n) AS n, sum(n_docs) AS n_docs, sum(n_good) AS n_good,
           sum(n_bad) AS n_bad, sum(off_whole) AS whole, sum(off_rest) AS rest
    FROM changed WHERE is_first
    GROUP BY run, group_name, metric, extraction, stage, classifier_sha256, category
), step AS (
    SELECT run, group_name, metric, extraction, stage, classifier_sha256, category, threshold,
           sum(more_blocked) AS blocked, sum(more_enforced) AS enforced, sum(more_whole) AS whole,
           sum(more_rest) AS rest, sum(more_change) AS change, sum(more_squares) AS squares,
           sum(good_here) AS good, sum(bad_here) AS bad
    FROM changed
    GROUP BY run, group_name, metric, extraction, stage, classifier_sha256, category, threshold
)
SELECT s.run, s.group_name, s.metric, s.extraction, s.stage, s.classifier_sha256, s.category,
       s.threshold, w.n, w.n_docs, w.n_docs + sum(s.enforced) OVER above AS n_enforced,
       sum(s.blocked) OVER above AS n_blocked,
       w.n_good, sum(s.good) OVER above AS n_good_blocked,
       w.n_bad, sum(s.bad) OVER above AS n_bad_blocked,
       CASE WHEN w.n_docs > 0
            THEN (w.whole + w.rest / 1099511627776.0) / (2097152.0 * w.n_docs) END AS off_mean,
       (w.whole + sum(s.whole) OVER above +
        (w.rest + sum(s.rest) OVER above) / 1099511627776.0) /
       (2097152.0 * (w.n_docs + sum(s.enforced) OVER above)) AS enforce_mean,
       sum(s.change) OVER above AS change, sum(s.squares) OVER above AS change_squares,
       s.good AS good_here, s.bad AS bad_here
FROM step s
JOIN total w ON w.run = s.run AND w.group_name = s.group_name AND w.metric = s.metric
            AND w.extraction = s.extraction AND w.stage = s.stage
            AND w.classifier_sha256 = s.classifier_sha256 AND w.category = s.category
WHERE w.n_tasks = (SELECT count(*) FROM group_leaf l
                   JOIN task_metric m ON m.run = l.run AND m.task = l.task
                   WHERE l.run = s.run AND l.group_name = s.group_name AND m.metric = s.metric
                     AND m.extraction = s.extraction)
WINDOW above AS (PARTITION BY s.run, s.group_name, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold DESC);

-- How well a rule tells bad replies from good ones: the area under the curve that the sweep draws.
CREATE VIEW guard_roc AS
SELECT run, task, metric, extraction, stage, classifier_sha256, category, n_good, n_bad,
       CASE WHEN n_good > 0 AND n_bad > 0
            THEN sum(bad_here * (n_good - n_good_blocked + good_here * 0.5)) / (n_good * n_bad)
            END AS auroc
FROM guard_sweep
GROUP BY run, task, metric, extraction, stage, classifier_sha256, category;
