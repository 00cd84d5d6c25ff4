-- Until when an earlier content of an online keyring was the content. One that is young goes only with the
-- leave of its owner.

ALTER TABLE keyring_revisions ADD COLUMN replaced_at INTEGER NOT NULL DEFAULT 0;

-- The next content took its place.
UPDATE keyring_revisions SET replaced_at = coalesce(
    (SELECT min(later.updated_at) FROM keyring_revisions AS later
        WHERE later.user_id = keyring_revisions.user_id
            AND later.revision > keyring_revisions.revision),
    (SELECT k.updated_at FROM keyrings AS k WHERE k.user_id = keyring_revisions.user_id),
    updated_at);
