/* traces/read/sqlite_rows.c - see sqlite_rows.h.
 *
 * What each setting is for: https://www.sqlite.org/security.html, https://www.sqlite.org/c3ref/c_dbconfig_defensive.html. An
 * immutable file is read without locks, journals and -wal files, so a journal with something in it is refused: the rows in
 * it would be missing without a word. */
#include "traces/read/sqlite_rows.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC                                                                                  \
    "SQLite format 3" /* and its NUL: 16 bytes, https://www.sqlite.org/fileformat.html 1.3 */
#define MAGIC_BYTES   16u
#define HEADER_BYTES  100u
#define PAGES_AT      28u /* size of the database in pages */
#define STEPS_A_CALL  1000
#define STEPS_FREE    10000000u /* a tenth of a second or so, whatever the size */
#define STEPS_A_BYTE  4u        /* a scan takes about 15 for a row of 50 bytes or more */
#define CACHE_PRAGMA  "PRAGMA cache_size = -16384" /* KiB */
#define TEXT_LIMIT    ((int)(16 * VS_MIB))         /* the longest value or row */
#define SQL_MAX_BYTES 512u

/* ---- errors --------------------------------------------------------------------------------------------- */

static vs_errcode code_of(int status)
{
    switch (status & 0xff) {
    case SQLITE_NOMEM: return VS_ERR_MEMORY;
    case SQLITE_TOOBIG: return VS_ERR_LIMIT;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_IOERR: return VS_ERR_IO;
    default: return VS_ERR_FORMAT;
    }
}

bool sq_fail(sq_base *base, const char *table)
{
    base->has_failed = true;
    if (base->is_out_of_steps) {
        return vs_fail(base->err, VS_ERR_LIMIT,
                       "%s: reading takes more steps than a database of this size can need; it "
                       "is not what Nsight Systems writes",
                       table);
    }
    const int status = sqlite3_extended_errcode(base->handle);
    if ((status & 0xff) == SQLITE_TOOBIG) {
        return vs_fail(base->err, VS_ERR_LIMIT,
                       "%s: a value or row of more than 16 MiB, the most "
                       "that is read",
                       table);
    }
    return vs_fail(base->err, code_of(status),
                   "%s: SQLite cannot read it (%.200s); export the report again: nsys export "
                   "--type sqlite",
                   table, sqlite3_errmsg(base->handle));
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

/* Full scans of tables, and what they are made of; nothing else. */
static int authorize(void *ctx, int action, const char *first, const char *second,
                     const char *database, const char *inner)
{
    (void)ctx;
    (void)second;
    (void)database;
    if (action == SQLITE_SELECT || (action == SQLITE_READ && inner == NULL)) {
        return SQLITE_OK;
    }
    if (action == SQLITE_PRAGMA && first != NULL &&
        (strcmp(first, "table_info") == 0 || strcmp(first, "cell_size_check") == 0 ||
         strcmp(first, "mmap_size") == 0 || strcmp(first, "cache_size") == 0)) {
        return SQLITE_OK;
    }
    return SQLITE_DENY;
}

/* Called every STEPS_A_CALL steps; not 0 stops the query. */
static int count_steps(void *ctx)
{
    sq_base *const base = ctx;
    if (base->steps_left == 0) {
        base->is_out_of_steps = true;
        return 1;
    }
    base->steps_left--;
    return 0;
}

static void set_limits(sqlite3 *handle)
{
    static const struct {
        int id;
        int value;
    } limits[] = {{SQLITE_LIMIT_LENGTH, TEXT_LIMIT},  {SQLITE_LIMIT_SQL_LENGTH, 1000000},
                  {SQLITE_LIMIT_EXPR_DEPTH, 10},      {SQLITE_LIMIT_COMPOUND_SELECT, 3},
                  {SQLITE_LIMIT_VDBE_OP, 25000},      {SQLITE_LIMIT_FUNCTION_ARG, 8},
                  {SQLITE_LIMIT_ATTACHED, 0},         {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
                  {SQLITE_LIMIT_VARIABLE_NUMBER, 10}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                  {SQLITE_LIMIT_WORKER_THREADS, 0}};

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        (void)sqlite3_limit(handle, limits[i].id, limits[i].value);
    }
}

/* What makes an untrusted file harmless; has to come before the first statement, which parses its schema. */
static bool harden(sq_base *base, uint64_t size_bytes)
{
    sqlite3 *const handle = base->handle;
    static const int off[] = {
        SQLITE_DBCONFIG_TRUSTED_SCHEMA,  SQLITE_DBCONFIG_ENABLE_TRIGGER,
        SQLITE_DBCONFIG_ENABLE_VIEW,     SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
        SQLITE_DBCONFIG_WRITABLE_SCHEMA, SQLITE_DBCONFIG_DQS_DML};
    bool is_hard =
        sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL) == SQLITE_OK;
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        is_hard = is_hard && sqlite3_db_config(handle, off[i], 0, (int *)NULL) == SQLITE_OK;
    }
    if (!is_hard) {
        base->has_failed = true;
        return vs_fail(base->err, VS_ERR_INTERNAL,
                       "this SQLite (%s) cannot be kept from running what is in a file: "
                       "3.31 or newer is needed",
                       sqlite3_libversion());
    }
    set_limits(handle);
    uint64_t steps = 0;
    base->size_bytes = size_bytes;
    if (!vs_mul_u64(size_bytes, STEPS_A_BYTE, &steps) ||
        !vs_add_u64(steps, STEPS_FREE, &steps)) {
        steps = UINT64_MAX;
    }
    base->steps_left = steps / STEPS_A_CALL;
    sqlite3_progress_handler(handle, STEPS_A_CALL, count_steps, base);
    if (sqlite3_set_authorizer(handle, authorize, NULL) != SQLITE_OK ||
        sqlite3_exec(handle, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; " CACHE_PRAGMA,
                     NULL, NULL, NULL) != SQLITE_OK) {
        return sq_fail(base, "the database");
    }
    return true;
}

/* PATH-wal and PATH-journal hold rows that an immutable database does not show. */
static bool check_no_journal(const char *path, const char *suffix, vs_arena *scratch,
                             vs_err *err)
{
    struct stat info = {0};
    const char *const beside = vs_arena_printf(scratch, "%s%s", path, suffix);
    if (beside == NULL) {
        return vs_fail_memory(err, scratch, "a path");
    }
    if (stat(beside, &info) != 0 || info.st_size == 0) {
        return true;
    }
    (void)vs_fail(
        err, VS_ERR_FORMAT,
        "the file %s beside it holds rows that are not in the database yet: close the "
        "program that writes it, or open it once with sqlite3 and run PRAGMA "
        "wal_checkpoint(TRUNCATE)",
        suffix);
    vs_err_at_input(err, path);
    return false;
}

static uint32_t u32be(const uint8_t *p)
{
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

/* The first bytes: is it SQLite, and is it all there? Newer SQLite finds the latter by itself, in fewer words. */
static bool check_header(const uint8_t *bytes, size_t count, uint64_t size_bytes, vs_err *err)
{
    if (count < HEADER_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0) {
        return vs_fail(
            err, VS_ERR_FORMAT,
            "expected an SQLite database of at least 100 bytes, found something else");
    }
    const uint32_t size_field = ((uint32_t)bytes[16] << 8) | bytes[17];
    const uint64_t page_bytes = size_field == 1 ? 65536 : size_field;
    const uint64_t pages = u32be(bytes + PAGES_AT);
    /* the count is to be believed when its change counter is the file's (1.3.7) */
    const bool is_valid = u32be(bytes + 24) == u32be(bytes + 92);
    if (is_valid && page_bytes * pages > size_bytes) {
        return vs_fail(err, VS_ERR_FORMAT,
                       "the database is cut off: its header says %" PRIu64
                       " bytes, the file has %" PRIu64 "; copy or export it again",
                       page_bytes * pages, size_bytes);
    }
    return true;
}

/* file: URI with everything but plain characters escaped (https://www.sqlite.org/uri.html); NULL: no memory. */
static const char *uri_of(const char *path, vs_arena *scratch)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    static const char digits[] = "0123456789ABCDEF";
    static const char tail[] = "?immutable=1&mode=ro";
    const size_t len = strlen(path);
    /* "file:" and, for a relative path, nothing: file:a/b is relative */
    char *const uri = vs_arena_array(scratch, len * 3 + 5 + sizeof tail, 1, 1);
    if (uri == NULL) {
        return NULL;
    }
    size_t used = 5;
    memcpy(uri, "file:", 5);
    if (len > 1 && path[0] == '/' && path[1] == '/') {
        path++; /* file://x names a host */
    }
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr(plain, *p) != NULL) {
            uri[used++] = *p;
        } else {
            uri[used++] = '%';
            uri[used++] = digits[(unsigned char)*p >> 4];
            uri[used++] = digits[(unsigned char)*p & 15];
        }
    }
    memcpy(uri + used, tail, sizeof tail);
    return uri;
}

static bool open_handle(sq_base *base, const char *uri, uint64_t size_bytes)
{
    const int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(uri, &base->handle, flags, NULL) != SQLITE_OK) {
        base->has_failed = true;
        (void)vs_fail(base->err, base->handle == NULL ? VS_ERR_MEMORY : VS_ERR_IO,
                      "SQLite cannot open it: %.200s",
                      base->handle == NULL ? "out of memory" : sqlite3_errmsg(base->handle));
        sq_close(base);
        return false;
    }
    if (!harden(base, size_bytes)) {
        sq_close(base);
        return false;
    }
    return true;
}

bool sq_open(sq_base *base, const char *path, vs_arena *scratch, vs_err *err)
{
    *base = (sq_base){.scratch = scratch, .err = err};
    vs_file head = {0};
    uint64_t size_bytes = 0;
    if (!vs_file_open_head(&head, path, HEADER_BYTES, &size_bytes, err)) {
        return false;
    }
    const bool is_sqlite = check_header(head.bytes, (size_t)head.size_bytes, size_bytes, err);
    vs_file_close(&head);
    if (!is_sqlite) {
        vs_err_at_input(err, path);
        return false;
    }
    if (!check_no_journal(path, "-wal", scratch, err) ||
        !check_no_journal(path, "-journal", scratch, err)) {
        return false;
    }
    const char *const uri = uri_of(path, scratch);
    if (uri == NULL) {
        return vs_fail_memory(err, scratch, "a path");
    }
    return open_handle(base, uri, size_bytes);
}

bool sq_open_bytes(sq_base *base, const void *bytes, size_t size_bytes, vs_arena *scratch,
                   vs_err *err)
{
    *base = (sq_base){.scratch = scratch, .err = err};
    if (!check_header(bytes, size_bytes, size_bytes, err)) {
        return false;
    }
    uint8_t *const copy = vs_arena_alloc(scratch, size_bytes, 16);
    if (copy == NULL) {
        return vs_fail_memory(err, scratch, "a database");
    }
    memcpy(copy, bytes, size_bytes);
    /* in memory there is no log: bytes 18 and 19 say whether one is expected (1.3.3) */
    copy[18] = 1;
    copy[19] = 1;
    if (sqlite3_open_v2(":memory:", &base->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_deserialize(base->handle, "main", copy, (sqlite3_int64)size_bytes,
                            (sqlite3_int64)size_bytes,
                            SQLITE_DESERIALIZE_READONLY) != SQLITE_OK) {
        (void)sq_fail(base, "the database");
        sq_close(base);
        return false;
    }
    if (!harden(base, size_bytes)) {
        sq_close(base);
        return false;
    }
    return true;
}

void sq_close(sq_base *base)
{
    (void)sqlite3_close(base->handle);
    base->handle = NULL;
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

static sqlite3_stmt *prepare(sq_base *base, const char *table, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (base->has_failed) {
        return NULL;
    }
    if (sqlite3_prepare_v2(base->handle, sql, -1, &statement, NULL) != SQLITE_OK) {
        (void)sq_fail(base, table);
        return NULL;
    }
    return statement;
}

static bool step(sq_base *base, sqlite3_stmt *statement, const char *table)
{
    const int status = sqlite3_step(statement);
    if (status != SQLITE_ROW && status != SQLITE_DONE) {
        (void)sq_fail(base, table);
    }
    return status == SQLITE_ROW;
}

sq_found sq_find_table(sq_base *base, const char *table)
{
    sq_found found = SQ_NO_TABLE;
    sqlite3_stmt *const statement =
        prepare(base, table, "SELECT type, rootpage, name FROM sqlite_master");
    while (statement != NULL && step(base, statement, table)) {
        const unsigned char *const name = sqlite3_column_text(statement, 2);
        if (name == NULL || sqlite3_stricmp((const char *)name, table) != 0) {
            continue;
        }
        const unsigned char *const type = sqlite3_column_text(statement, 0);
        const bool is_table = type != NULL && strcmp((const char *)type, "table") == 0;
        /* a virtual table has no root page */
        found = is_table && sqlite3_column_int64(statement, 1) > 0 ? SQ_TABLE : SQ_NOT_A_TABLE;
        break;
    }
    (void)sqlite3_finalize(statement);
    return base->has_failed ? SQ_NO_TABLE : found;
}

const char *sq_some_tables(sq_base *base)
{
    char text[200] = "";
    size_t used = 0;
    sqlite3_stmt *const statement =
        prepare(base, "its schema", "SELECT name FROM sqlite_master WHERE type = 'table'");
    while (statement != NULL && step(base, statement, "its schema")) {
        const unsigned char *const name = sqlite3_column_text(statement, 0);
        const size_t left = sizeof text - used;
        const int n = snprintf(text + used, left, "%s%.40s", used == 0 ? "" : ", ",
                               name == NULL ? (const unsigned char *)"?" : name);
        if (n < 0 || (size_t)n + 10 >= left) {
            (void)snprintf(text + used, left, "%s", " and more");
            break;
        }
        used += (size_t)n;
    }
    (void)sqlite3_finalize(statement);
    const char *const copy = vs_arena_printf(base->scratch, "%s", text);
    return copy == NULL ? "" : copy;
}

/* Which of the columns the table has. */
static bool find_columns(sq_base *base, const char *table, const sq_column *columns,
                         uint32_t count, bool *has)
{
    char sql[SQL_MAX_BYTES];
    (void)snprintf(sql, sizeof sql, "PRAGMA table_info(\"%s\")", table);
    sqlite3_stmt *const statement = prepare(base, table, sql);
    while (statement != NULL && step(base, statement, table)) {
        const unsigned char *const name = sqlite3_column_text(statement, 1);
        for (uint32_t i = 0; name != NULL && i < count; i++) {
            has[i] = has[i] || sqlite3_stricmp((const char *)name, columns[i].name) == 0;
        }
    }
    (void)sqlite3_finalize(statement);
    if (base->has_failed) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i].is_required && !has[i]) {
            base->has_failed = true;
            return vs_fail(base->err, VS_ERR_FORMAT,
                           "table %s has no column %s: not what Nsight Systems exports (nsys "
                           "export --type sqlite)",
                           table, columns[i].name);
        }
    }
    return true;
}

bool sq_scan(sq_base *base, const char *table, const sq_column *columns, uint32_t count,
             sq_rows *out)
{
    char sql[SQL_MAX_BYTES];
    bool has[SQ_COLUMNS_MAX] = {false};
    sq_rows rows = {.table = table};
    vs_assert(count > 0 && count <= SQ_COLUMNS_MAX);
    if (!find_columns(base, table, columns, count, has)) {
        return false;
    }
    int used = snprintf(sql, sizeof sql, "SELECT ");
    int place = 0;
    for (uint32_t i = 0; i < SQ_COLUMNS_MAX; i++) {
        rows.place[i] = has[i] ? place : -1;
        if (has[i]) {
            used += snprintf(sql + used, sizeof sql - (size_t)used, "%s\"%s\"",
                             place == 0 ? "" : ", ", columns[i].name);
            place++;
        }
        vs_assert(used > 0 && (size_t)used < sizeof sql - 64);
    }
    if (place == 0) {
        (void)snprintf(sql + used, sizeof sql - (size_t)used, "NULL");
        used += 4;
    }
    /* no index: it could be one on an expression, and the order of the file would be lost */
    (void)snprintf(sql + used, sizeof sql - (size_t)used, " FROM \"%s\" NOT INDEXED", table);
    rows.statement = prepare(base, table, sql);
    if (rows.statement == NULL) {
        return false;
    }
    *out = rows;
    return true;
}

bool sq_prepare_lookup(sq_base *base, const char *table, const char *column, sqlite3_stmt **out)
{
    char sql[SQL_MAX_BYTES];
    (void)snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE id = ?1", column, table);
    *out = prepare(base, table, sql);
    return *out != NULL;
}

bool sq_next(sq_base *base, sq_rows *rows)
{
    return !base->has_failed && step(base, rows->statement, rows->table);
}

void sq_end(sq_rows *rows)
{
    (void)sqlite3_finalize(rows->statement);
    rows->statement = NULL;
}

/* ---- cells --------------------------------------------------------------------------------------------------- */

sq_kind sq_integer(const sq_rows *rows, uint32_t column, int64_t *out)
{
    if (rows->place[column] < 0) {
        return SQ_ABSENT;
    }
    switch (sqlite3_column_type(rows->statement, rows->place[column])) {
    case SQLITE_INTEGER:
        *out = sqlite3_column_int64(rows->statement, rows->place[column]);
        return SQ_INTEGER;
    case SQLITE_NULL: return SQ_ABSENT;
    default: return SQ_OTHER;
    }
}

vs_str sq_text(const sq_rows *rows, uint32_t column)
{
    if (rows->place[column] < 0 ||
        sqlite3_column_type(rows->statement, rows->place[column]) != SQLITE_TEXT) {
        return (vs_str){0};
    }
    const unsigned char *const text = sqlite3_column_text(rows->statement, rows->place[column]);
    const int bytes = sqlite3_column_bytes(rows->statement, rows->place[column]);
    return text == NULL || bytes < 0 ? (vs_str){0}
                                     : (vs_str){(const char *)text, (size_t)bytes};
}
