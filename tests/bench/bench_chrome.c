/* The speed of reading Chrome traces, as lines `name value unit`; the best of 5 runs.
 *
 * read_chrome_mib_per_s  a trace of 64 MiB as Kineto writes them, in a file: eight operators with their shapes, a kernel, a
 *                        call and a [memory] event in turn; file to recording, arenas opened anew each time. */
#include "vramscope/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RUNS        5
#define TRACE_BYTES ((long)64 << 20)
#define KEEP_BYTES  ((size_t)4 << 30)

static void must(bool is_fine, const char *what)
{
    if (!is_fine) {
        (void)fprintf(stderr, "bench_chrome: %s\n", what);
        exit(1);
    }
}

static void put(FILE *out, const char *format, ...) VS_PRINTF(2, 3);

static void put(FILE *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    must(vfprintf(out, format, args) > 0, "cannot write");
    va_end(args);
}

static void put_slice(FILE *out, const char *cat, const char *name, uint64_t us,
                      const char *args)
{
    put(out,
        "  {\n    \"ph\": \"X\", \"cat\": \"%s\", \"name\": \"%s\", \"pid\": 783658, \"tid\": "
        "785244,\n"
        "    \"ts\": %" PRIu64
        ".125, \"dur\": 45.250,\n    \"args\": {\n      %s\n    }\n  },\n",
        cat, name, us, args);
}

static void write_trace(FILE *out)
{
    uint64_t total = 0;
    put(out, "{\n  \"schemaVersion\": 1,\n  \"baseTimeNanoseconds\": 1727000000000000000,\n"
             "  \"traceEvents\": [\n");
    for (uint64_t i = 0; ftell(out) < TRACE_BYTES; i++) {
        const bool is_free = i / 1000 % 2 == 1;
        total = is_free ? total - 2097152 : total + 2097152;
        for (unsigned k = 0; k < 8; k++) {
            put_slice(
                out, k < 5 ? "cpu_op" : "python_function", "aten::convolution", 40 * i,
                "\"External id\": 3073,\"Record function id\": 0, \"Ev Idx\": 17, "
                "\"Input type\": [\"float\", \"\"], \"Input Dims\": [[16, 3, 224, 224], []]");
        }
        put_slice(out, "cuda_runtime", "cudaLaunchKernel", 40 * i,
                  "\"External id\": 73689, \"cbid\": 211, \"correlation\": 73689");
        put_slice(
            out, "kernel",
            "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>",
            40 * i,
            "\"External id\": 73689, \"queued\": 0, \"device\": 0, \"context\": 1, "
            "\"stream\": 7, \"grid\": [24, 1, 1], \"block\": [128, 1, 1]");
        put(out,
            "  {\n    \"ph\": \"i\", \"cat\": \"cpu_instant_event\", \"s\": \"t\", \"name\": "
            "\"[memory]\",\n    \"pid\": 783658, \"tid\": 785244,\n    \"ts\": %" PRIu64
            ".500,\n    \"args\": {\n      \"Ev Idx\": 42070, \"Device Type\": 1, \"Device "
            "Id\": 0, "
            "\"Addr\": %" PRIu64 ", \"Bytes\": %s2097152, \"Total Allocated\": %" PRIu64
            ", \"Total Reserved\": 4294967296\n    }\n  },\n",
            40 * i, UINT64_C(140000000000000) + i % 1000 * 2097152, is_free ? "-" : "", total);
    }
    put(out, "  {}\n  ]\n}\n");
}

static double now_s(void)
{
    struct timespec t = {0};
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "no clock");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double read_once(const char *path)
{
    vs_arena keep = {0};
    vs_arena scratch = {0};
    vs_recording rec = {0};
    const double start = now_s();
    must(vs_arena_open(&keep, KEEP_BYTES, NULL) && vs_arena_open(&scratch, KEEP_BYTES, NULL),
         "no memory");
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    must(vs_recording_read(&rec, path, &desc, NULL), "cannot read");
    const double end = now_s();
    must(rec.device_count == 1 && rec.devices[0].event_count > 1000, "events are missing");
    vs_arena_close(&keep);
    vs_arena_close(&scratch);
    return end - start;
}

int main(void)
{
    char path[] = "/tmp/vramscope-bench-XXXXXX";
    const int fd = mkstemp(path);
    must(fd >= 0, "no temporary file");
    FILE *const out = fdopen(fd, "wb");
    must(out != NULL, "no temporary file");
    write_trace(out);
    const double mib = (double)ftell(out) / (double)VS_MIB;
    must(fclose(out) == 0, "cannot write");
    double best = 1e9;
    for (int i = 0; i < RUNS; i++) {
        const double s = read_once(path);
        best = s < best ? s : best;
    }
    (void)unlink(path);
    (void)printf("read_chrome_mib_per_s %.0f MiB/s\n", mib / best);
    return 0;
}
