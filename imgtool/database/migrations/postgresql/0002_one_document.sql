-- All words of a content in one document, so that its index answers a whole query without looking at documents. A word of
-- a code, a label or the caption has its field in front ("a:", "b:", "c:"): an index knows no weights. "#<n>" is there for
-- the contents from number n * 8192, so that searches for frequent words begin with the newest ones.
CREATE FUNCTION with_fields(tsvector) RETURNS tsvector LANGUAGE sql AS $$
    SELECT coalesce(string_agg(format('''%s:%s'':%s', lower(weight), lexeme, places), ' '), '')::tsvector
    FROM (
        SELECT lexeme, weight, string_agg(position || weight, ',') AS places
        FROM unnest($1) AS word (lexeme, positions, weights), unnest(positions, weights) AS place (position, weight)
        GROUP BY lexeme, weight
    ) AS words
$$;
DROP INDEX words_text, words_other;
ALTER TABLE words ALTER COLUMN text_document TYPE tsvector
    USING array_to_tsvector(ARRAY['#' || (result_id >> 13)]) || with_fields(other_document) || text_document;
ALTER TABLE words DROP COLUMN other_document;
ALTER TABLE words RENAME COLUMN text_document TO document;
CREATE INDEX words_document ON words USING gin (document);
DROP FUNCTION with_fields(tsvector);
