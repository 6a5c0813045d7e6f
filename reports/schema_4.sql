-- The store, version 4: prompts that were put into a chat template.

CREATE TABLE run_chat (            -- one row for a run in chat mode
    run             TEXT NOT NULL REFERENCES run (run),
    format          TEXT NOT NULL, -- "gemma", "llama3", ...
    template_sha256 TEXT,          -- NULL: the format was chosen by name; run.chat_template else
    system_text     TEXT,          -- the user's; tasks add their description
    system_as       TEXT NOT NULL CHECK (system_as IN ('error', 'drop', 'prepend-user')),
    fewshot_as      TEXT NOT NULL CHECK (fewshot_as IN ('turns', 'one turn')),
    PRIMARY KEY (run)
) WITHOUT ROWID;

ALTER TABLE sample ADD COLUMN system_place TEXT -- of its system message; NULL: it has none
    CHECK (system_place IN ('turn', 'user', 'dropped'));
