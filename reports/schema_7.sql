-- The store, version 7: speeds, as `assay speed --store` measures them.
--
-- Rows carry what they depend on, so that figures of different machines, builds and models can lie
-- in one file and never be taken for each other.  A fraction is of the machine's own bound in the
-- same run.

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
