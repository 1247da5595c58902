/* A user's program: built by test_install.sh from the installed headers and library alone. */
#include <stdio.h>

#include <vramscope/vramscope.h>

int main(void)
{
    vs_err err = {0};
    vs_arena arena = {0};
    vs_model model = {0};
    if (!vs_arena_open(&arena, (size_t)1 << 30, &err) ||
        !vs_model_open(&model, &arena, "llama-2-7b", &err)) {
        char line[VS_ERR_TEXT_BYTES];
        (void)fprintf(stderr, "%s\n", vs_err_line(&err, line, sizeof line));
        return 1;
    }
    (void)printf("vramscope %s: %s\n", VS_VERSION, model.name);
    vs_arena_close(&arena);
    return 0;
}
