-- The instance that an entry is about; null: none. A database of this engine never held entries without it, so that there is
-- nothing to read out of them here.
ALTER TABLE entry ADD COLUMN instance_id TEXT;
CREATE INDEX entry_by_instance ON entry (instance_id, position) WHERE instance_id IS NOT NULL;
