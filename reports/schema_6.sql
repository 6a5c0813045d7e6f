-- The store, version 6: runs that score another run's replies again, and shots that are drawn several
-- times.

ALTER TABLE run ADD COLUMN parent TEXT REFERENCES run (run); -- whose replies these are; NULL: its own

-- Of one drawing of a task's shots among several: what all of them are averaged into, a task or a
-- group.  The task's own name then ends in '#' and the seed.
ALTER TABLE task_run ADD COLUMN base TEXT;
