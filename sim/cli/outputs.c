/* outputs.c - files a run leaves: tape, traces, pictures. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool cli_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]); /* NOLINT(concurrency-mt-unsafe): one thread */
        if (value != NULL && value[0] != '\0') {
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL ||
                   strstr(value, "utf-8") != NULL;
        }
    }
    return false;
}

bool cli_write_files(cli *c, const cli_args *args, const vs_timeline *timeline, vs_err *err)
{
    if (args->tape != NULL && !vs_timeline_write(timeline, args->tape, err)) {
        return false;
    }
    if (args->trace != NULL && !vs_trace_write_perfetto(timeline, args->trace, err)) {
        return false;
    }
    if (args->snapshot != NULL &&
        !vs_trace_write_snapshot(timeline, args->snapshot, &c->scratch, err)) {
        return false;
    }
    return args->csv == NULL || vs_trace_write_csv(timeline, args->csv, err);
}

const char *cli_temporary_tape(cli *c, uint32_t number)
{
    const char *folder = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    return vs_arena_printf(&c->inputs, "%s/vramscope-%ld-%" PRIu32 ".tape",
                           folder == NULL || folder[0] == '\0' ? "/tmp" : folder,
                           (long)getpid(), number);
}

bool cli_viewer_path(char *buf, size_t buf_bytes)
{
    static const char name[] = "vramscope-view";
    const ssize_t got = readlink("/proc/self/exe", buf, buf_bytes - 1);
    if (got > 0) {
        buf[got] = '\0';
        char *slash = strrchr(buf, '/');
        const size_t dir = slash == NULL ? 0 : (size_t)(slash - buf) + 1;
        if (dir + sizeof name <= buf_bytes) {
            memcpy(buf + dir, name, sizeof name);
            if (access(buf, X_OK) == 0) {
                return true;
            }
        }
    }
    if (sizeof name > buf_bytes) {
        return false;
    }
    memcpy(buf, name, sizeof name); /* then by PATH */
    return true;
}

static bool wait_for(pid_t child, const char *path, vs_err *err)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return vs_fail(err, VS_ERR_IO, "%s: lost track of vramscope-view", path);
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        return vs_fail(
            err, VS_ERR_NOT_FOUND,
            "%s: pictures are drawn by vramscope-view, which is not installed; build it with "
            "libsdl2-dev libfreetype-dev libpng-dev (make viz), or use --trace and --csv",
            path);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return vs_fail(err, VS_ERR_IO,
                       "%s: vramscope-view could not draw it (see its message above)", path);
    }
    return true;
}

/* A path as a word of a command line: one that begins with a dash is no option. */
static char *word_of(cli *c, const char *path)
{
    return vs_arena_printf(&c->inputs, "%s%s", path[0] == '-' ? "./" : "", path);
}

/* The command line of the viewer; NULL in the place of a word when the arena is exhausted. */
static char **viewer_words(cli *c, char *viewer, const cli_picture *picture)
{
    char **argv =
        VS_ARRAY(&c->inputs, char *, (size_t)picture->tape_count + picture->option_count + 4);
    size_t n = 0;
    if (argv == NULL) {
        return NULL;
    }
    argv[n++] = viewer;
    argv[n++] = vs_str_copy(&c->inputs, vs_str_of("--shot"));
    argv[n++] = word_of(c, picture->path);
    for (uint32_t i = 0; i < picture->option_count; i++) {
        argv[n++] = vs_str_copy(&c->inputs, vs_str_of(picture->options[i]));
    }
    for (uint32_t i = 0; i < picture->tape_count; i++) {
        argv[n++] = word_of(c, picture->tapes[i]);
    }
    return argv;
}

bool cli_draw(cli *c, const cli_picture *picture, vs_err *err)
{
    char viewer[4096];
    char **argv = NULL;
    if (cli_viewer_path(viewer, sizeof viewer)) {
        argv = viewer_words(c, viewer, picture);
    }
    if (argv == NULL || c->inputs.is_exhausted) {
        return vs_fail_memory(err, &c->inputs, "the picture");
    }
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) {
        return vs_fail(err, VS_ERR_IO, "%s: cannot start vramscope-view", picture->path);
    }
    if (child == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO); /* our stdout is for results */
        execvp(viewer, argv);
        _exit(127);
    }
    return wait_for(child, picture->path, err);
}
