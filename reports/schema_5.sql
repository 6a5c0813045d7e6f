-- The store, version 5: what remote classifiers said, kept so that nothing is asked twice.
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
