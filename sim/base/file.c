/* sim/base/file.c - whole-file input, all-or-nothing output.
 *
 * Input is mapped read-only. If another program shortens a file while it is mapped, the
 * system ends us with SIGBUS on the lost pages; reading into memory first would cost a
 * copy of headers that are up to 100 MB, and checkpoints do not shrink under us.
 *
 * Output goes to PATH.tmp-PID beside the target, so that the rename at the end stays on
 * one file system and a reader sees the old file or the new one, never half of it. What
 * cannot be renamed onto (a terminal, /dev/null, a pipe) is written directly. */
#if !defined(_XOPEN_SOURCE)
/* NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming) */
#    define _XOPEN_SOURCE 700 /* realpath belongs to the XSI part of POSIX.1-2008 */
#endif

#include "sim/base/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what to do about a system error ------------------------------------------------ */

static const char *advice_for(int code)
{
    switch (code) {
    case ENOENT: return ": check the spelling and the current directory";
    case ENOTDIR: return ": a part of the path before the last one is not a directory";
    case EACCES:
    case EPERM: return ": check its owner and permissions";
    case ELOOP: return ": remove the symbolic link that leads back to itself";
    case EMFILE:
    case ENFILE: return ": raise the limit (ulimit -n) or close other programs";
    case ENAMETOOLONG: return ": use a shorter name";
    case ENOSPC:
    case EDQUOT: return ": free some space or write somewhere else";
    case EROFS: return ": write somewhere else";
    case ENOMEM: return ": free some memory or raise the limit (ulimit -v)";
    default: return "";
    }
}

static bool fail_errno(vs_err *err, const char *path, const char *verb, int code)
{
    char reason[128];
    if (err == NULL || err->code != VS_OK) {
        return false;
    }
    (void)vs_fail(err, VS_ERR_IO, "cannot %s: %s%s", verb,
                  vs_errno_text(code, reason, sizeof reason), advice_for(code));
    vs_err_at_input(err, path);
    return false;
}

static bool fail_at_path(vs_err *err, const char *path, const char *text)
{
    if (err == NULL || err->code != VS_OK) {
        return false;
    }
    (void)vs_fail(err, VS_ERR_IO, "%s", text);
    vs_err_at_input(err, path);
    return false;
}

/* ---- reading --------------------------------------------------------------------------- */

static bool check_is_regular(const struct stat *info, const char *path, vs_err *err)
{
    if (S_ISREG(info->st_mode)) {
        return true;
    }
    if (S_ISDIR(info->st_mode)) {
        return fail_at_path(err, path, "expected a file, found a directory: name a file in it");
    }
    if (S_ISFIFO(info->st_mode) || S_ISSOCK(info->st_mode)) {
        return fail_at_path(err, path,
                            "expected a file, found a pipe or socket: save its data to a file "
                            "first");
    }
    return fail_at_path(err, path, "expected a file, found a device");
}

static bool map_open_file(vs_file *file, int fd, const char *path, uint64_t max_bytes,
                          uint64_t *full_size_bytes, vs_err *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return fail_errno(err, path, "examine the file", errno);
    }
    if (!check_is_regular(&info, path, err)) {
        return false;
    }
    const uint64_t full = info.st_size > 0 ? (uint64_t)info.st_size : 0;
    const uint64_t size = full < max_bytes ? full : max_bytes;
    if (size == 0) {
        *file = (vs_file){.bytes = (const uint8_t *)"", .size_bytes = 0, .map = NULL};
        *full_size_bytes = full;
        return true;
    }
    void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        return fail_errno(err, path, "map the file", errno);
    }
    *file = (vs_file){.bytes = map, .size_bytes = size, .map = map};
    *full_size_bytes = full;
    return true;
}

bool vs_file_open_head(vs_file *file, const char *path, uint64_t max_bytes,
                       uint64_t *full_size_bytes, vs_err *err)
{
    vs_assert(path != NULL);
    /* O_NONBLOCK: opening a pipe without a writer must not wait, it is refused below */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail_errno(err, path, "open the file", errno);
    }
    const bool ok = map_open_file(file, fd, path, max_bytes, full_size_bytes, err);
    (void)close(fd); /* the mapping stays */
    return ok;
}

bool vs_file_open(vs_file *file, const char *path, vs_err *err)
{
    uint64_t ignored = 0;
    return vs_file_open_head(file, path, UINT64_MAX, &ignored, err);
}

void vs_file_close(vs_file *file)
{
    if (file->map != NULL) {
        (void)munmap(file->map, (size_t)file->size_bytes);
    }
    *file = (vs_file){.bytes = (const uint8_t *)"", .size_bytes = 0, .map = NULL};
}

/* ---- writing ----------------------------------------------------------------------------- */

#define BUFFER_BYTES 65536

struct vs_outfile {
    char *path;      /* the target, links resolved; owned */
    char *temporary; /* NULL when written directly; owned */
    int fd;
    bool is_stdout;
    vs_err failure; /* the first one */
    size_t used;
    char buffer[BUFFER_BYTES];
};

static void free_outfile(vs_outfile *out)
{
    free(out->path);
    free(out->temporary);
    free(out);
}

static char *copy_text(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

static char *temporary_name(const char *path)
{
    const size_t size = strlen(path) + 32;
    char *name = malloc(size);
    if (name != NULL) {
        (void)snprintf(name, size, "%s.tmp-%ld", path, (long)getpid());
    }
    return name;
}

/* Where to write: the file behind a symbolic link, so that the link survives the rename. */
static char *resolve_target(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        char *real = realpath(path, NULL);
        if (real != NULL) {
            return real;
        }
    }
    return copy_text(path);
}

static bool open_temporary(vs_outfile *out, const char *path, const struct stat *target,
                           vs_err *err)
{
    if (target != NULL && access(path, W_OK) != 0) {
        return fail_errno(err, path, "replace the file", errno);
    }
    out->temporary = temporary_name(out->path);
    if (out->temporary == NULL) {
        return vs_fail_memory(err, NULL, "an output file's name");
    }
    out->fd = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (out->fd < 0 && errno == EEXIST) {
        return vs_fail(err, VS_ERR_IO,
                       "cannot write: its temporary file %s exists already; remove it if no "
                       "other program is writing it",
                       out->temporary);
    }
    if (out->fd < 0) {
        return fail_errno(err, path, "create the file", errno);
    }
    if (target != NULL) {
        (void)fchmod(out->fd, target->st_mode & 0777); /* a replaced file keeps its mode */
    }
    return true;
}

static bool open_target(vs_outfile *out, const char *path, vs_err *err)
{
    struct stat info;
    const bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        return fail_at_path(err, path,
                            "expected a file to write, found a directory: name a file in it");
    }
    if (path[0] == '\0') {
        return fail_at_path(err, path, "the name of the file to write is empty");
    }
    out->path = resolve_target(path);
    if (out->path == NULL) {
        return vs_fail_memory(err, NULL, "an output file's name");
    }
    if (!exists || S_ISREG(info.st_mode)) {
        return open_temporary(out, path, exists ? &info : NULL, err);
    }
    out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (out->fd < 0) {
        return fail_errno(err, path, "open for writing", errno);
    }
    return true;
}

vs_outfile *vs_outfile_open(const char *path, vs_err *err)
{
    vs_assert(path != NULL);
    vs_outfile *out = malloc(sizeof *out);
    if (out == NULL) {
        (void)vs_fail_memory(err, NULL, "an output buffer");
        return NULL;
    }
    out->path = NULL;
    out->temporary = NULL;
    out->fd = -1;
    out->used = 0;
    out->failure = (vs_err){0};
    out->is_stdout = strcmp(path, "-") == 0;
    if (out->is_stdout) {
        (void)fflush(stdout); /* what the program printed before comes first */
        out->fd = STDOUT_FILENO;
        return out;
    }
    if (!open_target(out, path, err)) {
        vs_err_at_input(err, path);
        free_outfile(out);
        return NULL;
    }
    return out;
}

static const char *target_name(const vs_outfile *out)
{
    return out->is_stdout ? "standard output" : out->path;
}

static void write_through(vs_outfile *out, const char *bytes, size_t size_bytes)
{
    while (size_bytes > 0 && out->failure.code == VS_OK) {
        const ssize_t written = write(out->fd, bytes, size_bytes);
        if (written < 0 && errno != EINTR) {
            (void)fail_errno(&out->failure, target_name(out), "write", errno);
        } else if (written > 0) {
            bytes += written;
            size_bytes -= (size_t)written;
        }
    }
}

static void flush_buffer(vs_outfile *out)
{
    write_through(out, out->buffer, out->used);
    out->used = 0;
}

void vs_outfile_write(vs_outfile *out, const void *bytes, size_t size_bytes)
{
    if (size_bytes == 0 || out->failure.code != VS_OK) {
        return;
    }
    if (size_bytes > sizeof out->buffer - out->used) {
        flush_buffer(out);
    }
    if (size_bytes >= sizeof out->buffer) {
        write_through(out, bytes, size_bytes);
        return;
    }
    memcpy(out->buffer + out->used, bytes, size_bytes);
    out->used += size_bytes;
}

void vs_outfile_printf(vs_outfile *out, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (length < 0) {
        (void)vs_fail(&out->failure, VS_ERR_INTERNAL,
                      "a line of output could not be formatted");
        return;
    }
    if ((size_t)length < sizeof small) {
        vs_outfile_write(out, small, (size_t)length);
        return;
    }
    char *large = malloc((size_t)length + 1);
    if (large == NULL) {
        (void)vs_fail_memory(&out->failure, NULL, "a line of output");
        return;
    }
    va_start(args, format);
    (void)vsnprintf(large, (size_t)length + 1, format, args);
    va_end(args);
    vs_outfile_write(out, large, (size_t)length);
    free(large);
}

/* Closing may be when a file system reports a failed write. */
static void close_outfile(vs_outfile *out)
{
    if (!out->is_stdout && close(out->fd) != 0 && errno != EINTR) {
        (void)fail_errno(&out->failure, out->path, "finish writing", errno);
    }
    out->fd = -1;
}

bool vs_outfile_commit(vs_outfile *out, vs_err *err)
{
    flush_buffer(out);
    close_outfile(out);
    if (out->failure.code == VS_OK && out->temporary != NULL &&
        rename(out->temporary, out->path) != 0) {
        (void)fail_errno(&out->failure, out->path, "put the finished file in place", errno);
    }
    const bool ok = out->failure.code == VS_OK;
    if (!ok) {
        if (out->temporary != NULL) {
            (void)unlink(out->temporary);
        }
        vs_err_at_input(&out->failure, target_name(out));
        if (err != NULL && err->code == VS_OK) {
            *err = out->failure;
        }
    }
    free_outfile(out);
    return ok;
}

void vs_outfile_abandon(vs_outfile *out)
{
    if (out == NULL) {
        return;
    }
    out->used = 0;
    close_outfile(out);
    if (out->temporary != NULL) {
        (void)unlink(out->temporary);
    }
    free_outfile(out);
}
