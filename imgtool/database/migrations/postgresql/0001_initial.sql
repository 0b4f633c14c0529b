-- What is known of a content: one row for each file content and page, however many files have it. `key` is the SHA-256
-- of the file with #<page> for later pages, or path:<path>#<page> where the file could not be read; `stamps` tell which
-- answers were recorded.
CREATE TABLE results (
    id bigint PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    page integer NOT NULL,
    pages integer NOT NULL,
    format text,
    width integer,
    height integer,
    status text NOT NULL,
    error_code text COLLATE "C",
    captioned boolean NOT NULL,
    line_count integer NOT NULL,
    label_count integer NOT NULL,
    code_count integer NOT NULL,
    stamps text NOT NULL,
    recorded_at double precision NOT NULL
);
-- In each of its statuses, in the order of `id`.
CREATE INDEX results_status ON results (status);
CREATE INDEX results_error ON results (error_code) WHERE error_code IS NOT NULL;

-- The result as JSON, as `imgtool schema` describes it, without what belongs to the file.
CREATE TABLE answers (
    result_id bigint PRIMARY KEY REFERENCES results (id) ON DELETE CASCADE,
    body jsonb NOT NULL
);

-- `recorded` notes which answers are kept of it, and is empty where it is gone.
CREATE TABLE files (
    id bigint PRIMARY KEY,
    path text COLLATE "C" NOT NULL,
    page integer NOT NULL,
    sha256 text COLLATE "C",
    result_id bigint NOT NULL REFERENCES results (id),
    size bigint,
    mtime_ns bigint,
    seen_at double precision NOT NULL,
    gone_at double precision,
    machine text NOT NULL,
    recorded text COLLATE "C" NOT NULL,
    UNIQUE (path, page)
);
-- A run reads `recorded` of every file that it comes by: from this index alone.
CREATE INDEX files_recorded ON files (path, page, recorded);
CREATE INDEX files_result ON files (result_id);
CREATE INDEX files_gone ON files (gone_at) WHERE gone_at IS NOT NULL;

CREATE TABLE tasks (
    result_id bigint NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    task text NOT NULL,
    engine text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    model_version text NOT NULL,
    seconds double precision NOT NULL,
    error_code text COLLATE "C",
    PRIMARY KEY (result_id, task)
);
CREATE INDEX tasks_engine ON tasks (engine);
CREATE INDEX tasks_error ON tasks (error_code) WHERE error_code IS NOT NULL;

-- `box` is four corners in pixels, clockwise from the top left as the text is read.
CREATE TABLE lines (
    result_id bigint NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number integer NOT NULL,
    text text NOT NULL,
    confidence double precision NOT NULL,
    box jsonb NOT NULL,
    PRIMARY KEY (result_id, number)
);

CREATE TABLE labels (
    result_id bigint NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number integer NOT NULL,
    label text NOT NULL,
    score double precision NOT NULL,
    PRIMARY KEY (result_id, number)
);

-- `normalised` is the value, or of a tariff number its digits, the national ones too; `lookup` is that with letters and
-- digits alone. `checked`: a table of such codes lists it, or its own check digit is right.
CREATE TABLE codes (
    result_id bigint NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number integer NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    normalised text NOT NULL,
    lookup text COLLATE "C" NOT NULL,
    confidence double precision,
    checked boolean NOT NULL,
    box jsonb,
    PRIMARY KEY (result_id, number)
);
CREATE INDEX codes_lookup ON codes (lookup);

CREATE TABLE settings (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- The index: words as imgtool writes them, so that neither a text search configuration nor the locale has a say. Text,
-- which is most of it, has a document of its own: what a document without weights matches need not be looked at again.
-- Of the other, A is codes, B labels, C the caption. Streams decide which words follow each other. All of it is stored
-- apart from the rows, which searches for frequent words read by the thousand.
CREATE TABLE words (
    result_id bigint PRIMARY KEY REFERENCES results (id) ON DELETE CASCADE,
    text_document tsvector NOT NULL,
    other_document tsvector NOT NULL,
    text text COLLATE "C" NOT NULL,
    caption text COLLATE "C" NOT NULL,
    labels text COLLATE "C" NOT NULL,
    codes text COLLATE "C" NOT NULL
) WITH (toast_tuple_target = 128);
CREATE INDEX words_text ON words USING gin (text_document);
CREATE INDEX words_other ON words USING gin (other_document);

CREATE TABLE paths (
    file_id bigint PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    document tsvector NOT NULL,
    path text COLLATE "C" NOT NULL
);
CREATE INDEX paths_document ON paths USING gin (document);
