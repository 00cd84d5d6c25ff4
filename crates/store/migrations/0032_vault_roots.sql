-- The vault holds the roots that every other secret follows from, sealed with the master key. A row from before
-- holds a known text instead: there the master key itself is the root, until it is changed.
ALTER TABLE vault RENAME COLUMN sealed_check TO sealed_roots;
