/* cmd_view.c - `vramscope view`: hands over to vramscope-view, so that this program needs no SDL. */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int cmd_view(cli *c, int argc, char **argv)
{
    char viewer[4096];
    vs_err err = {0};
    char **args = VS_ARRAY(&c->inputs, char *, (size_t)argc + 2);
    if (args == NULL || !cli_viewer_path(viewer, sizeof viewer)) {
        (void)vs_fail_memory(&err, &c->inputs, "the command line");
        return cli_error(&err);
    }
    args[0] = viewer;
    for (int i = 0; i < argc; i++) {
        args[i + 1] = argv[i];
    }
    execvp(viewer, args);
    (void)vs_fail(&err, VS_ERR_NOT_FOUND,
                  "view: vramscope-view is not there (%s); build it with libsdl2-dev "
                  "libfreetype-dev libpng-dev (make "
                  "viz)",
                  errno == ENOENT ? "no such program beside this one or on PATH"
                                  : "it cannot be started");
    return cli_error(&err);
}
