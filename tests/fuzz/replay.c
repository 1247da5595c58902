/* replay - feeds files to a fuzz target, so that every crash ever found is tried again by any compiler.
 *
 * usage: replay_X FILE...
 * Prints TAP: one line a file and one for empty input. Each input is handed over in a block of exactly
 * its size, so that the address sanitizer sees a read past the end. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Bounds what a broken corpus can ask of us; libFuzzer's own limit is 1 MiB. */
#define INPUT_BYTES_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

static bool replay_bytes(FILE *in, size_t size_bytes)
{
    uint8_t *bytes = malloc(size_bytes > 0 ? size_bytes : 1);
    if (bytes == NULL) {
        return false;
    }
    const bool is_read = in == NULL || fread(bytes, 1, size_bytes, in) == size_bytes;
    if (is_read) {
        (void)LLVMFuzzerTestOneInput(bytes, size_bytes);
    }
    free(bytes);
    return is_read;
}

static bool replay_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        return false;
    }
    bool is_good = false;
    if (fseek(in, 0, SEEK_END) == 0) {
        const long end = ftell(in);
        is_good = end >= 0 && (size_t)end <= INPUT_BYTES_MAX && fseek(in, 0, SEEK_SET) == 0 &&
                  replay_bytes(in, (size_t)end);
    }
    (void)fclose(in);
    return is_good;
}

int main(int argc, char **argv)
{
    int failed = 0;
    printf("1..%d\n", argc);
    for (int i = 1; i < argc; i++) {
        printf("# %s\n", argv[i]);
        (void)fflush(stdout); /* a crash must leave the name of its input behind */
        const bool is_good = replay_file(argv[i]);
        failed += !is_good;
        printf("%s %d - %s\n", is_good ? "ok" : "not ok", i, argv[i]);
    }
    const bool is_good = replay_bytes(NULL, 0);
    printf("%s %d - empty input\n", is_good ? "ok" : "not ok", argc);
    return failed > 0 || !is_good ? 1 : 0;
}
