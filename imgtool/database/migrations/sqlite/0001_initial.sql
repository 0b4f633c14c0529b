-- What is known of a content: one row for each file content and page, however many files have it. `key` is the SHA-256
-- of the file with #<page> for later pages, or path:<path>#<page> where the file could not be read; `stamps` tell which
-- answers were recorded.
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    page INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    format TEXT,
    width INTEGER,
    height INTEGER,
    status TEXT NOT NULL,
    error_code TEXT,
    captioned INTEGER NOT NULL,
    line_count INTEGER NOT NULL,
    label_count INTEGER NOT NULL,
    code_count INTEGER NOT NULL,
    stamps TEXT NOT NULL,
    recorded_at REAL NOT NULL
);
-- In each of its statuses, in the order of `id`.
CREATE INDEX results_status ON results (status);
CREATE INDEX results_error ON results (error_code) WHERE error_code IS NOT NULL;

-- The result as JSON, as `imgtool schema` describes it, without what belongs to the file.
CREATE TABLE answers (
    result_id INTEGER PRIMARY KEY REFERENCES results (id) ON DELETE CASCADE,
    body TEXT NOT NULL
);

-- `recorded` notes which answers are kept of it, and is empty where it is gone.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    page INTEGER NOT NULL,
    sha256 TEXT,
    result_id INTEGER NOT NULL REFERENCES results (id),
    size INTEGER,
    mtime_ns INTEGER,
    seen_at REAL NOT NULL,
    gone_at REAL,
    machine TEXT NOT NULL,
    recorded TEXT NOT NULL,
    UNIQUE (path, page)
);
-- A run reads `recorded` of every file that it comes by: from this index alone.
CREATE INDEX files_recorded ON files (path, page, recorded);
CREATE INDEX files_result ON files (result_id);
CREATE INDEX files_gone ON files (gone_at) WHERE gone_at IS NOT NULL;

CREATE TABLE tasks (
    result_id INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    engine TEXT NOT NULL,
    model TEXT NOT NULL,
    model_version TEXT NOT NULL,
    seconds REAL NOT NULL,
    error_code TEXT,
    PRIMARY KEY (result_id, task)
) WITHOUT ROWID;
CREATE INDEX tasks_engine ON tasks (engine);
CREATE INDEX tasks_error ON tasks (error_code) WHERE error_code IS NOT NULL;

-- `box` is four corners in pixels as JSON, clockwise from the top left as the text is read.
CREATE TABLE lines (
    result_id INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    confidence REAL NOT NULL,
    box TEXT NOT NULL,
    PRIMARY KEY (result_id, number)
) WITHOUT ROWID;

CREATE TABLE labels (
    result_id INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    label TEXT NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (result_id, number)
) WITHOUT ROWID;

-- `normalised` is the value, or of a tariff number its digits, the national ones too; `lookup` is that with letters and
-- digits alone. `checked`: a table of such codes lists it, or its own check digit is right.
CREATE TABLE codes (
    result_id INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    normalised TEXT NOT NULL,
    lookup TEXT NOT NULL,
    confidence REAL,
    checked INTEGER NOT NULL,
    box TEXT,
    PRIMARY KEY (result_id, number)
) WITHOUT ROWID;
CREATE INDEX codes_lookup ON codes (lookup);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The index: words as imgtool writes them, separated by spaces. `rowid` is the id of the result, and of the file.
CREATE VIRTUAL TABLE words USING fts5(text, caption, labels, codes, tokenize = 'ascii', prefix = '1 2 3');
CREATE VIRTUAL TABLE paths USING fts5(path, tokenize = 'ascii', prefix = '1 2 3');
