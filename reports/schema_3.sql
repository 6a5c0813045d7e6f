-- The store, version 3: what guards did, in full, and what they cost.
--
-- A reply that a guard redacted, or had made again, is shown in a form of its own: the enforce
-- column counts what that form scores.  A peak is the highest probability that any check of a
-- growing reply saw: in a shadow run a threshold fires exactly where it is at most the peak.

ALTER TABLE guard_event ADD COLUMN response TEXT -- what enforce did, or in shadow would have done
    CHECK (response IN ('none', 'log', 'redact', 'refuse', 'stop', 'regenerate'));
ALTER TABLE guard_event ADD COLUMN classifier_sha256 TEXT; -- whose score decided
ALTER TABLE guard_event ADD COLUMN exempted INTEGER CHECK (exempted IN (0, 1)); -- by an allow list
ALTER TABLE guard_event ADD COLUMN timed_out INTEGER CHECK (timed_out IN (0, 1));
ALTER TABLE guard_event ADD COLUMN n_checks INTEGER;
ALTER TABLE guard_event ADD COLUMN cut_at_token INTEGER; -- NULL: the reply came to its own end
ALTER TABLE guard_event ADD COLUMN n_attempts INTEGER;     -- replies made after the first
ALTER TABLE guard_event ADD COLUMN n_extra_tokens INTEGER; -- of these
ALTER TABLE hazard_score ADD COLUMN peak REAL CHECK (peak BETWEEN 0 AND 1); -- of guards alone
ALTER TABLE verdict ADD COLUMN delivered_value REAL; -- of a reply that was shown in another form
ALTER TABLE verdict ADD COLUMN delivered_outcome TEXT;

DROP VIEW guarded_verdict;
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

-- The group at the top that a task is in, or itself.
CREATE VIEW task_root AS
SELECT t.run, t.task, coalesce(top.group_name, t.task) AS root, t.position
FROM task_run t
LEFT JOIN (SELECT l.run, l.task, l.group_name
           FROM group_leaf l JOIN task_group g ON g.run = l.run AND g.group_name = l.group_name
           WHERE g.parent IS NULL) top ON top.run = t.run AND top.task = t.task;

-- Every reply of a guarded run under every metric that reads it: the stage that stopped it first
-- (NULL: it passed), for which category (NULL: an error), and whether the reply was good: right, or
-- not toxic.  `is_good` is NULL where the reply was not heard.
CREATE VIEW guard_call AS
SELECT v.run, v.task, v.doc_id, v.repeat, v.metric, v.extraction,
       e.stage, e.category, e.verdict, e.response,
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
       sum(is_good IS 1) AS good, sum(is_good IS 0) AS bad, sum(is_good IS NULL) AS unheard
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
-- 'any' category, beside the reply's value.  Texts that a classifier failed on are left out.
CREATE VIEW guard_peak AS
WITH peaks AS (
    SELECT h.run, h.task, h.doc_id, h.repeat, h.stage, h.classifier_sha256, h.category, h.peak
    FROM hazard_score h WHERE h.peak IS NOT NULL AND h.error IS NULL
    UNION ALL
    SELECT h.run, h.task, h.doc_id, h.repeat, h.stage, h.classifier_sha256, 'any', max(h.peak)
    FROM hazard_score h WHERE h.peak IS NOT NULL
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
CREATE VIEW guard_sweep AS
WITH step AS (
    SELECT run, task, metric, extraction, stage, classifier_sha256, category, peak AS threshold,
           count(*) AS n, sum(is_good IS 1) AS good, sum(is_good IS 0) AS bad,
           coalesce(sum(blocked_value - off_value), 0) AS change,
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
       (w.value + sum(s.change) OVER above) / w.n_heard AS enforce_mean,
       sum(s.squares) OVER above AS change_squares, s.good AS good_here, s.bad AS bad_here
FROM step s
JOIN whole w ON w.run = s.run AND w.task = s.task AND w.metric = s.metric
            AND w.extraction = s.extraction AND w.stage = s.stage
            AND w.classifier_sha256 = s.classifier_sha256 AND w.category = s.category
WINDOW above AS (PARTITION BY s.run, s.task, s.metric, s.extraction, s.stage,
                 s.classifier_sha256, s.category ORDER BY s.threshold DESC);

-- How well a rule tells bad replies from good ones: the area under the curve that the sweep draws.
CREATE VIEW guard_roc AS
SELECT run, task, metric, extraction, stage, classifier_sha256, category, n_good, n_bad,
       CASE WHEN n_good > 0 AND n_bad > 0
            THEN sum(bad_here * (n_good - n_good_blocked + good_here * 0.5)) / (n_good * n_bad)
            END AS auroc
FROM guard_sweep
GROUP BY run, task, metric, extraction, stage, classifier_sha256, category;
