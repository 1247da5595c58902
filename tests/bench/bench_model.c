/* The speed of reading models, as lines `name value unit`; each figure is the best of 7 runs.
 *
 * model_llama_2_7b_us            a catalogue name to a whole model: JSON, 323 tensors, 293 targets, key order.
 * model_qwen3_235b_a22b_us       the same with 36,945 tensors.
 * model_deepseek_v3_ms           the same with 91,991 tensors.
 * read_deepseek_v3_headers_ms    a folder of 163 shards with an index: headers to a whole model.
 * read_safetensors_tensors_per_s a header of 100,000 tensors in memory, parsed and checked. */
#include "vramscope/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS         7
#define TENSOR_COUNT 100000u

static double seconds_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool is_fine, const vs_err *err, const char *what)
{
    char line[1024];
    if (!is_fine) {
        (void)fprintf(stderr, "bench_model: %s: %s\n", what,
                      vs_err_line(err, line, sizeof line));
        exit(1);
    }
}

/* Seconds of one open, the best of RUNS batches. */
static double time_open(vs_arena *arena, const char *name, int repeats)
{
    double best = 1e9;
    for (int run = 0; run < RUNS; run++) {
        const double start = seconds_now();
        for (int i = 0; i < repeats; i++) {
            vs_model model = {0};
            vs_err err = {0};
            vs_arena_reset(arena);
            must(vs_model_open(&model, arena, name, &err), &err, name);
        }
        const double each = (seconds_now() - start) / repeats;
        best = each < best ? each : best;
    }
    return best;
}

/* Eight length bytes and the header; 2 bytes of data per tensor follow in the imagined file. */
static char *make_header(size_t *bytes)
{
    const size_t room = (size_t)TENSOR_COUNT * 160;
    char *const out = malloc(room);
    vs_err err = {0};
    must(out != NULL, &err, "out of memory");
    size_t used = 8;
    out[used++] = '{';
    for (unsigned i = 0; i < TENSOR_COUNT; i++) {
        const int n = snprintf(
            out + used, room - used,
            "%s\"model.layers.%u.mlp.experts.%u.down_proj.weight\":{\"dtype\":\"BF16\","
            "\"shape\":[1],\"data_offsets\":[%u,%u]}",
            i == 0 ? "" : ",", i / 256, i % 256, 2 * i, 2 * i + 2);
        must(n > 0 && (size_t)n < room - used, &err, "header too long");
        used += (size_t)n;
    }
    out[used++] = '}';
    const uint64_t json_bytes = used - 8;
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (char)(uint8_t)(json_bytes >> (8 * i));
    }
    *bytes = used;
    return out;
}

static double time_header(vs_arena *arena)
{
    size_t head_bytes = 0;
    char *const head = make_header(&head_bytes);
    double best = 1e9;
    for (int run = 0; run < RUNS; run++) {
        vs_st_header header = {0};
        vs_err err = {0};
        vs_arena_reset(arena);
        const double start = seconds_now();
        const bool is_read =
            vs_safetensors_parse(&header, arena, head, head_bytes,
                                 head_bytes + UINT64_C(2) * TENSOR_COUNT, "bench", &err);
        const double each = seconds_now() - start;
        must(is_read && header.tensor_count == TENSOR_COUNT, &err, "header");
        best = each < best ? each : best;
    }
    free(head);
    return best;
}

/* Milliseconds to open a folder with the headers of deepseek-v3, 163 shards: index, headers, binding, key order. The
 * folder is made once, its data are holes. */
static double time_headers(vs_arena *arena)
{
    char folder[] = "/tmp/bench_model_XXXXXX";
    vs_model model = {0};
    vs_write_result result = {0};
    vs_err err = {0};
    must(mkdtemp(folder) != NULL, &err, "a temporary folder");
    vs_arena_reset(arena);
    must(vs_model_open(&model, arena, "deepseek-v3", &err), &err, "deepseek-v3");
    const vs_write_desc desc = {.folder = folder, .spec = "deepseek-v3"};
    must(vs_model_write(&result, arena, &model, &desc, &err), &err, "mkmodel");
    const double seconds = time_open(arena, folder, 1);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? seconds * 1e3 : 1e9;
}

int main(void)
{
    vs_arena arena = {0};
    vs_err err = {0};
    must(vs_arena_open(&arena, 512 * VS_MIB, &err), &err, "arena");
    printf("model_llama_2_7b_us %.1f us\n", time_open(&arena, "llama-2-7b", 20) * 1e6);
    printf("model_qwen3_235b_a22b_us %.1f us\n", time_open(&arena, "qwen3-235b-a22b", 1) * 1e6);
    printf("model_deepseek_v3_ms %.2f ms\n", time_open(&arena, "deepseek-v3", 1) * 1e3);
    printf("read_deepseek_v3_headers_ms %.1f ms\n", time_headers(&arena));
    printf("read_safetensors_tensors_per_s %.0f tensors/s\n",
           TENSOR_COUNT / time_header(&arena));
    vs_arena_close(&arena);
    return 0;
}
