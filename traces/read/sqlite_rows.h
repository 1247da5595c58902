/* traces/read/sqlite_rows.h - rows of somebody else's SQLite database, read without trusting it.
 *
 * A database file is a program as much as data: views, triggers, virtual tables and generated columns run when it is read. Here
 * only ordinary tables are read, by full scans of named columns that exist; everything else is refused by SQLite's own
 * authorizer. The limits are those of https://www.sqlite.org/security.html ("Untrusted SQLite Database Files"), longer where
 * an export of Nsight Systems needs it. How long reading may take is bounded by the size of the file.
 *
 * The file is opened read-only and immutable: nothing is ever created beside it. One thread; close what was opened. */
#ifndef VS_TRACES_SQLITE_ROWS_H
#define VS_TRACES_SQLITE_ROWS_H

#include "vramscope/base.h"

#include <sqlite3.h>

typedef struct {
    sqlite3 *handle;
    vs_arena *scratch;
    vs_err *err;
    uint64_t size_bytes;
    uint64_t steps_left; /* of SQLite's virtual machine, in units of the progress handler */
    bool is_out_of_steps;
    bool has_failed; /* err is set */
} sq_base;

#define SQ_COLUMNS_MAX 12

/* Names a column and says whether rows are of any use without it. */
typedef struct {
    const char *name;
    bool is_required;
} sq_column;

typedef enum {
    SQ_ABSENT, /* the table has no such column, or NULL */
    SQ_INTEGER,
    SQ_OTHER /* a value of another type */
} sq_kind;

/* A scan under way. */
typedef struct {
    sqlite3_stmt *statement;
    const char *table;
    int place[SQ_COLUMNS_MAX]; /* in the result, -1: the table has no such column */
} sq_rows;

/* On failure nothing is left open. base must not move while it is open. */
VS_MUST_CHECK bool sq_open(sq_base *base, const char *path, vs_arena *scratch, vs_err *err);
/* A copy of the bytes goes to scratch. */
VS_MUST_CHECK bool sq_open_bytes(sq_base *base, const void *bytes, size_t size_bytes,
                                 vs_arena *scratch, vs_err *err);
void sq_close(sq_base *base);

typedef enum { SQ_NO_TABLE, SQ_TABLE, SQ_NOT_A_TABLE /* a view, a virtual table */ } sq_found;

/* SQ_NO_TABLE also after a failure (base->has_failed). */
sq_found sq_find_table(sq_base *base, const char *table);
/* Up to a few names of tables for a message, "a, b, c and more"; "" when there is none. */
const char *sq_some_tables(sq_base *base);
/* Rows in the order of the file. False: base->has_failed, or a required column is missing, which is an error too. Names of
 * table and columns come from the program, never from a file. */
VS_MUST_CHECK bool sq_scan(sq_base *base, const char *table, const sq_column *columns,
                           uint32_t count, sq_rows *out);
/* One row by the integer key `id`. */
VS_MUST_CHECK bool sq_prepare_lookup(sq_base *base, const char *table, const char *column,
                                     sqlite3_stmt **out);
/* False at the end and after a failure. */
bool sq_next(sq_base *base, sq_rows *rows);
void sq_end(sq_rows *rows);

sq_kind sq_integer(const sq_rows *rows, uint32_t column, int64_t *out);
/* Empty when it is absent or no text; valid until the next row. */
vs_str sq_text(const sq_rows *rows, uint32_t column);
/* Reports SQLite's own error. Always false. */
bool sq_fail(sq_base *base, const char *table);

#endif /* VS_TRACES_SQLITE_ROWS_H */
