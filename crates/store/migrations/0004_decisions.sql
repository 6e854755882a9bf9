-- The instance that an entry is about; null: none. What was decided before is read out of the entries, which are JSON.
-- (Where the database begins at this schema there is nothing to read: another engine leaves the UPDATE out.)
ALTER TABLE entry ADD COLUMN instance_id TEXT;
UPDATE entry SET instance_id = json_extract(CAST(body AS TEXT), '$.event.instance[0]')
WHERE json_valid(CAST(body AS TEXT));
CREATE INDEX entry_by_instance ON entry (instance_id, position) WHERE instance_id IS NOT NULL;
