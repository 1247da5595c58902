/* write_files.c - the files of a checkpoint: under temporary names first, then all in place, or none.
 *
 * Temporary names are NAME.tmp-PID in the folder itself, so that a rename stays on one file system. Holes are made by
 * ftruncate: reading them gives zeros, and they occupy nothing on file systems that know holes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/model/write.h"

static bool fail_system(vs_err *err, const char *path, const char *what, int code)
{
    char reason[128];
    const char *advice = "";
    if (code == ENOSPC || code == EDQUOT) {
        advice = ": free some space or write somewhere else";
    } else if (code == EACCES || code == EPERM || code == EROFS) {
        advice = ": check the permissions or write somewhere else";
    } else if (code == EFBIG) {
        advice = ": the file system or a limit (ulimit -f) allows no file of this size";
    }
    if (strerror_r(code, reason, sizeof reason) != 0) {
        (void)snprintf(reason, sizeof reason, "system error %d", code);
    }
    (void)vs_fail(err, VS_ERR_IO, "cannot %s: %s%s", what, reason, advice);
    if (err != NULL) {
        vs_err_at_input(err, path);
    }
    return false;
}

static bool fail_memory(const vs_staging *staging, vs_err *err)
{
    return vs_fail_memory(err, staging->arena, "the files of a checkpoint");
}

/* ---- folders ------------------------------------------------------------------------------------ */

/* Removes the folders that were made, the deepest first. */
static void remove_folders(vs_staging *staging)
{
    size_t len = strlen(staging->folder);
    while (staging->made_from != SIZE_MAX && len > staging->made_from) {
        staging->folder[len] = '\0';
        (void)rmdir(staging->folder);
        while (len > 0 && staging->folder[len - 1] != '/') {
            len--;
        }
        while (len > 0 && staging->folder[len - 1] == '/') {
            len--;
        }
    }
    staging->made_from = SIZE_MAX;
}

/* The first len bytes of the folder's path as a folder. */
static bool make_folder(vs_staging *staging, size_t len, vs_err *err)
{
    char *const folder = staging->folder;
    const char next = folder[len];
    struct stat info;
    folder[len] = '\0';
    bool is_ok = true;
    if (stat(folder, &info) != 0) {
        if (mkdir(folder, 0777) == 0) {
            staging->made_from = staging->made_from == SIZE_MAX ? len - 1 : staging->made_from;
        } else {
            is_ok = fail_system(err, folder, "make the folder", errno);
        }
    } else if (!S_ISDIR(info.st_mode)) {
        (void)vs_fail(err, VS_ERR_IO, "expected a folder to write into, found a file");
        if (err != NULL) {
            vs_err_at_input(err, folder);
        }
        is_ok = false;
    }
    folder[len] = next;
    return is_ok;
}

static size_t trimmed_length(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

bool vs_staging_open(vs_staging *staging, vs_arena *arena, const char *folder,
                     uint32_t capacity, vs_err *err)
{
    vs_staging s = {.arena = arena, .capacity = capacity, .made_from = SIZE_MAX};
    if (folder[0] == '\0') {
        return vs_fail(err, VS_ERR_VALUE, "the name of the folder to write into is empty");
    }
    s.folder = vs_str_copy(arena, (vs_str){folder, trimmed_length(folder)});
    s.files = VS_ARRAY(arena, vs_staged_file, capacity);
    if (s.folder == NULL || s.files == NULL) {
        return fail_memory(&s, err);
    }
    const size_t len = strlen(s.folder);
    bool is_ok = true;
    for (size_t i = 1; i <= len && is_ok; i++) {
        const bool is_part = i == len || (s.folder[i] == '/' && s.folder[i - 1] != '/');
        is_ok = !is_part || make_folder(&s, i, err);
    }
    if (!is_ok) {
        remove_folders(&s);
        return false;
    }
    *staging = s;
    return true;
}

/* ---- what is there already ------------------------------------------------------------------------- */

/* Blocks of a file that are looked at to tell real weights from a hole, and their size. Weights that are zero in all of
 * 64 places spread over the file do not occur; a hole is zero everywhere. */
#define SAMPLE_COUNT 64u
#define SAMPLE_BYTES 4096u

static bool is_zero_at(int fd, uint64_t from, uint64_t to)
{
    uint8_t block[SAMPLE_BYTES];
    const size_t want = to - from < sizeof block ? (size_t)(to - from) : sizeof block;
    const ssize_t got = pread(fd, block, want, (off_t)from);
    for (ssize_t i = 0; i < got; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return got == (ssize_t)want;
}

/* Where the data of a file begins: behind the header of safetensors, in the second half of others. */
static uint64_t data_begin(int fd, const char *name, uint64_t file_bytes)
{
    uint8_t head[8] = {0};
    uint64_t begin = 0;
    if (!vs_str_ends(vs_str_of(name), ".safetensors")) {
        return file_bytes / 2;
    }
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head) {
        return 0;
    }
    for (unsigned i = 0; i < 8; i++) {
        begin |= (uint64_t)head[i] << (8 * i);
    }
    return begin < file_bytes && begin + 8 <= file_bytes ? begin + 8 : 0;
}

static bool is_hollow(const char *path, const char *name)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return false;
    }
    bool is_empty = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    const uint64_t end = is_empty ? (uint64_t)info.st_size : 0;
    const uint64_t begin = is_empty ? data_begin(fd, name, end) : 0;
    const uint64_t step = (end - begin) / SAMPLE_COUNT + 1;
    for (uint64_t at = begin; is_empty && at < end;
         at += step < SAMPLE_BYTES ? SAMPLE_BYTES : step) {
        is_empty = is_zero_at(fd, at, end);
    }
    if (is_empty && end > begin + SAMPLE_BYTES) {
        is_empty = is_zero_at(fd, end - SAMPLE_BYTES, end);
    }
    (void)close(fd);
    return is_empty;
}

static bool is_weights(vs_str name)
{
    return vs_str_ends(name, ".safetensors") || vs_str_ends(name, ".gguf") ||
           vs_str_ends(name, ".bin");
}

static bool is_checkpoint_file(vs_str name)
{
    return is_weights(name) || vs_str_ends(name, ".safetensors.index.json") ||
           vs_str_ends(name, ".bin.index.json") || vs_str_is(name, "config.json");
}

static int is_checkpoint_entry(const struct dirent *entry)
{
    return is_checkpoint_file(vs_str_of(entry->d_name));
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_among(const char *name, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* May a file of this name, which is there, be there when we are done? path is the file's. */
static bool check_entry(const char *path, const char *name, bool is_replaced, bool is_forced,
                        vs_err *err)
{
    const char *text = NULL;
    if (!is_forced) {
        text = "is there already: the folder holds a checkpoint; name another folder, or add "
               "--force to replace one that holds no data";
    } else if (is_replaced && is_weights(vs_str_of(name)) && !is_hollow(path, name)) {
        text = "holds data, so it is not replaced, --force or not; remove it yourself or name "
               "another folder";
    } else if (!is_replaced) {
        text = "belongs to another checkpoint and would stand beside this one; remove it or "
               "name another folder";
    }
    if (text == NULL) {
        return true;
    }
    (void)vs_fail(err, VS_ERR_VALUE, "%s", text);
    if (err != NULL) {
        vs_err_at_input(err, path);
    }
    return false;
}

bool vs_staging_check(const vs_staging *staging, const char *const *names, uint32_t name_count,
                      bool is_forced, vs_err *err)
{
    struct dirent **entries = NULL;
    const int count = scandir(staging->folder, &entries, is_checkpoint_entry, compare_entries);
    if (count < 0) {
        return fail_system(err, staging->folder, "read the folder", errno);
    }
    bool is_ok = true;
    for (int i = 0; i < count; i++) {
        const char *const name = entries[i]->d_name;
        const char *const path =
            vs_arena_printf(staging->arena, "%s/%s", staging->folder, name);
        is_ok =
            is_ok && (path == NULL ? fail_memory(staging, err)
                                   : check_entry(path, name, is_among(name, names, name_count),
                                                 is_forced, err));
        free(entries[i]);
    }
    free(entries);
    return is_ok;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static bool write_all(int fd, vs_str text, const char *path, vs_err *err)
{
    while (text.len > 0) {
        const ssize_t written = write(fd, text.ptr, text.len);
        if (written < 0 && errno != EINTR) {
            return fail_system(err, path, "write", errno);
        }
        if (written > 0) {
            text.ptr += written;
            text.len -= (size_t)written;
        }
    }
    return true;
}

static bool fill(int fd, const vs_staged_file *file, vs_str text, uint64_t file_bytes,
                 vs_err *err)
{
    if (!write_all(fd, text, file->path, err)) {
        return false;
    }
    /* off_t is signed; nobody has a file system for 2^63 bytes either */
    if (file_bytes > INT64_MAX) {
        return fail_system(err, file->path, "make room for the data", EFBIG);
    }
    return text.len == file_bytes || ftruncate(fd, (off_t)file_bytes) == 0 ||
           fail_system(err, file->path, "make room for the data", errno);
}

bool vs_staging_add(vs_staging *staging, const char *name, vs_str text, uint64_t file_bytes,
                    vs_err *err)
{
    vs_assert(staging->count < staging->capacity && text.len <= file_bytes);
    vs_staged_file *const file = &staging->files[staging->count];
    *file = (vs_staged_file){
        .path = vs_arena_printf(staging->arena, "%s/%s", staging->folder, name),
        .temporary = vs_arena_printf(staging->arena, "%s/%s.tmp-%ld", staging->folder, name,
                                     (long)getpid()),
    };
    if (file->path == NULL || file->temporary == NULL) {
        return fail_memory(staging, err);
    }
    const int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_system(err, file->path, "create the file", errno);
    }
    file->is_written = true;
    staging->count++;
    bool is_ok = fill(fd, file, text, file_bytes, err);
    if (close(fd) != 0 && errno != EINTR && is_ok) {
        is_ok = fail_system(err, file->path, "finish writing", errno);
    }
    staging->written_bytes += text.len;
    return is_ok;
}

bool vs_staging_commit(vs_staging *staging, vs_err *err)
{
    for (uint32_t i = 0; i < staging->count; i++) {
        vs_staged_file *const file = &staging->files[i];
        if (rename(file->temporary, file->path) != 0) {
            (void)fail_system(err, file->path, "put the finished file in place", errno);
            vs_staging_abandon(staging);
            return false;
        }
        file->is_in_place = true;
    }
    staging->count = 0;
    staging->made_from = SIZE_MAX;
    return true;
}

void vs_staging_abandon(vs_staging *staging)
{
    for (uint32_t i = 0; i < staging->count; i++) {
        const vs_staged_file *const file = &staging->files[i];
        if (file->is_written) {
            (void)unlink(file->is_in_place ? file->path : file->temporary);
        }
    }
    staging->count = 0;
    remove_folders(staging);
}
