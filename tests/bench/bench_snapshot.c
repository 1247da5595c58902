/* The speed of reading PyTorch memory snapshots, as lines `name value unit`; the best of 5 runs.
 *
 * read_snapshot_mib_per_s    a snapshot of 200 MB, written here: file to recording, arenas opened anew each time.
 * read_snapshot_memory_share the most memory the program had, as a share of the file's size.
 *
 *   bench_snapshot --write BYTES PATH   writes such a snapshot of about so many bytes and keeps it
 *   bench_snapshot --read PATH          reads a snapshot once: seconds, rate, memory
 *
 * The file is what CPython's pickle (protocol 4) makes of a training loop recorded with stacks: FRAMEs of 64 KiB, batches of 1000,
 * MEMOIZE behind every dict, list and text. The measures are those of the largest public recording at hand (19681 entries,
 * torch 2.8, ../shared/traces HanFa): 60 frames a stack, two lists of frames in three entries, the third one shared, frames that are
 * dicts met once and then read from the memo, compile_context written anew each time. 4000 places of the program allocate, in turn. */
#include "vramscope/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define RUNS             5
#define BENCH_BYTES      UINT64_C(200000000)
#define FRAME_BYTES      65536u /* Lib/pickle.py: _Framer._FRAME_SIZE_TARGET */
#define BATCH            1000u  /* Lib/pickle.py: _BATCHSIZE */
#define FRAME_COUNT      2500u
#define SITE_COUNT       4000u
#define SEGMENT_COUNT    512u
#define BLOCKS_A_SEGMENT 20u
#define LIVE_COUNT       4096u
#define NOT_YET          UINT32_MAX
#define KEEP_BYTES       ((size_t)16 << 30)

static void must(bool is_fine, const char *what)
{
    if (!is_fine) {
        (void)fprintf(stderr, "bench_snapshot: %s\n", what);
        exit(1);
    }
}

/* ---- a pickler ------------------------------------------------------------------------- */

typedef struct {
    FILE *out;
    uint8_t frame[FRAME_BYTES + 1024];
    size_t used;
    uint64_t written;
    uint32_t memo_count;
    vs_rng rng;
    uint32_t frames[FRAME_COUNT];
    uint32_t texts[64];
    uint32_t live_list[LIVE_COUNT]; /* memo of the stack of a free, by slot */
    uint64_t time_us;
} pickler;

static void flush_frame(pickler *p)
{
    uint8_t head[9] = {0x95};
    for (unsigned i = 0; i < 8; i++) {
        head[1 + i] = (uint8_t)((uint64_t)p->used >> (8 * i));
    }
    must(fwrite(head, 1, sizeof head, p->out) == sizeof head &&
             fwrite(p->frame, 1, p->used, p->out) == p->used,
         "cannot write");
    p->written += sizeof head + p->used;
    p->used = 0;
}

static void put(pickler *p, const void *bytes, size_t count)
{
    if (p->used >= FRAME_BYTES) {
        flush_frame(p);
    }
    memcpy(p->frame + p->used, bytes, count);
    p->used += count;
}

static void op(pickler *p, char code)
{
    put(p, &code, 1);
}

static void op_number(pickler *p, uint8_t code, uint64_t value, unsigned bytes)
{
    uint8_t all[10] = {code};
    for (unsigned i = 0; i < bytes; i++) {
        all[1 + i] = (uint8_t)(value >> (8 * i));
    }
    put(p, all, 1 + bytes);
}

static uint32_t memoize(pickler *p)
{
    op(p, (char)0x94);
    return p->memo_count++;
}

static void get(pickler *p, uint32_t memo)
{
    if (memo < 256) {
        op_number(p, 'h', memo, 1);
    } else {
        op_number(p, 'j', memo, 4);
    }
}

static void number(pickler *p, uint64_t value)
{
    if (value < 256) {
        op_number(p, 'K', value, 1);
    } else if (value < 65536) {
        op_number(p, 'M', value, 2);
    } else if (value < UINT64_C(1) << 31) {
        op_number(p, 'J', value, 4);
    } else {
        unsigned bytes = 4;
        while (value >> (8 * bytes - 1) != 0) {
            bytes++;
        }
        uint8_t all[10] = {0x8a, (uint8_t)bytes};
        for (unsigned i = 0; i < bytes; i++) {
            all[2 + i] = (uint8_t)(value >> (8 * i));
        }
        put(p, all, 2 + bytes);
    }
}

static uint32_t new_text(pickler *p, const char *text)
{
    uint8_t all[2 + UINT8_MAX] = {0x8c, (uint8_t)strlen(text)};
    memcpy(all + 2, text, all[1]); /* in one piece: a FRAME never lies within an opcode */
    put(p, all, UINT64_C(2) + all[1]);
    return memoize(p);
}

/* clang-format off */
#define TEXTS(X)                                                                            \
    X(SEGMENTS, "segments") X(DEVICE, "device") X(ADDRESS, "address")                       \
    X(TOTAL, "total_size") X(ALLOCATED, "allocated_size") X(ACTIVE, "active_size")          \
    X(REQUESTED, "requested_size") X(STREAM, "stream") X(TYPE, "segment_type")              \
    X(POOL, "segment_pool_id") X(EXPANDABLE, "is_expandable") X(FRAMES, "frames")           \
    X(BLOCKS, "blocks") X(SIZE, "size") X(STATE, "state") X(INACTIVE, "inactive")           \
    X(LARGE, "large") X(TRACES, "device_traces") X(ACTION, "action") X(ADDR, "addr")        \
    X(TIME, "time_us") X(COMPILE, "compile_context") X(ALLOC, "alloc")                      \
    X(FREE_REQUESTED, "free_requested") X(FREE_COMPLETED, "free_completed")                 \
    X(SEGMENT_ALLOC, "segment_alloc") X(NAME, "name") X(FILENAME, "filename")               \
    X(LINE, "line") X(ANNOTATIONS, "external_annotations")

/* clang-format on */

typedef enum {

#define VS_X(id, text) T_##id,
    TEXTS(VS_X)
#undef VS_X
        TEXT_COUNT
} text_id;

/* Texts of the program itself are one object each: written once. */
static void text(pickler *p, text_id id)
{
    static const char *const texts[] = {
#define VS_X(id, text) text,
        TEXTS(VS_X)
#undef VS_X
    };
    if (p->texts[id] != NOT_YET) {
        get(p, p->texts[id]);
    } else {
        p->texts[id] = new_text(p, texts[id]);
    }
}

static void key_number(pickler *p, text_id key, uint64_t value)
{
    text(p, key);
    number(p, value);
}

static void key_text(pickler *p, text_id key, text_id value)
{
    text(p, key);
    text(p, value);
}

static void begin_dict(pickler *p)
{
    op(p, '}');
    (void)memoize(p);
    op(p, '(');
}

static uint32_t begin_list(pickler *p)
{
    op(p, ']');
    const uint32_t memo = memoize(p);
    op(p, '(');
    return memo;
}

/* Python closes a batch of 1000 and begins another one. */
static void next_item(pickler *p, uint64_t index)
{
    if (index > 0 && index % BATCH == 0) {
        op(p, 'e');
        op(p, '(');
    }
}

/* ---- stacks ------------------------------------------------------------------------------ */

static void put_frame(pickler *p, uint32_t frame)
{
    char line[96];
    if (p->frames[frame] != NOT_YET) {
        get(p, p->frames[frame]);
        return;
    }
    op(p, '}');
    p->frames[frame] = memoize(p);
    op(p, '(');
    text(p, T_NAME);
    (void)snprintf(line, sizeof line, "forward_of_part_%u", frame);
    (void)new_text(p, line);
    text(p, T_FILENAME);
    (void)snprintf(line, sizeof line,
                   "/usr/lib/python3/dist-packages/torch/nn/modules/file%u.py", frame / 25);
    (void)new_text(p, line);
    key_number(p, T_LINE, 20 + frame % 25 * 31);
    op(p, 'u');
}

/* 30 to 90 frames, innermost first: the last ones, the program's beginning, are the same everywhere. */
static uint32_t put_stack(pickler *p, uint32_t site)
{
    const uint32_t depth = 30 + site * 7 % 61;
    const uint32_t memo = begin_list(p);
    for (uint32_t i = 0; i < depth; i++) {
        const uint32_t up = depth - i; /* from the outermost */
        put_frame(p, up < 12 ? up : 12 + (site / (1 + i / 4) * 13 + up) % (FRAME_COUNT - 12));
    }
    op(p, 'e');
    return memo;
}

/* ---- segments ------------------------------------------------------------------------------- */

static void put_block(pickler *p, uint64_t address)
{
    begin_dict(p);
    key_number(p, T_ADDRESS, address);
    key_number(p, T_SIZE, VS_MIB);
    key_number(p, T_REQUESTED, 0);
    key_text(p, T_STATE, T_INACTIVE);
    text(p, T_FRAMES);
    op(p, ']');
    (void)memoize(p);
    op(p, 'u');
}

static void put_segment(pickler *p, uint32_t segment)
{
    const uint64_t address = UINT64_C(0x7f0000000000) + segment * (32 * VS_MIB);
    begin_dict(p);
    key_number(p, T_DEVICE, 0);
    key_number(p, T_ADDRESS, address);
    key_number(p, T_TOTAL, BLOCKS_A_SEGMENT * VS_MIB);
    key_number(p, T_ALLOCATED, 0);
    key_number(p, T_ACTIVE, 0);
    key_number(p, T_REQUESTED, 0);
    key_number(p, T_STREAM, 0);
    key_text(p, T_TYPE, T_LARGE);
    text(p, T_POOL);
    number(p, 0);
    number(p, 0);
    op(p, (char)0x86);
    (void)memoize(p);
    text(p, T_EXPANDABLE);
    op(p, (char)0x89);
    text(p, T_FRAMES);
    (void)put_stack(p, segment);
    text(p, T_BLOCKS);
    (void)begin_list(p);
    for (uint32_t i = 0; i < BLOCKS_A_SEGMENT; i++) {
        put_block(p, address + i * VS_MIB);
    }
    op(p, 'e');
    op(p, 'u');
}

/* ---- entries ---------------------------------------------------------------------------------- */

typedef struct {
    text_id action;
    uint64_t address;
    uint64_t size;
    uint32_t site;   /* NOT_YET: the list that `shared` says */
    uint32_t shared; /* memo */
} entry;

/* Returns the memo of its list of frames. */
static uint32_t put_entry(pickler *p, const entry *e)
{
    uint32_t memo = e->shared;
    begin_dict(p);
    key_text(p, T_ACTION, e->action);
    key_number(p, T_ADDR, e->address);
    key_number(p, T_SIZE, e->size);
    key_number(p, T_STREAM, 0);
    key_number(p, T_TIME, p->time_us);
    text(p, T_COMPILE);
    (void)new_text(p, "N/A");
    text(p, T_FRAMES);
    if (e->site == NOT_YET) {
        get(p, memo);
    } else {
        memo = put_stack(p, e->site);
    }
    op(p, 'u');
    p->time_us += 1 + vs_rng_below(&p->rng, 40);
    return memo;
}

/* Entry number index of a loop: a slot of memory is taken, and later given back and completed. */
static void put_next_entry(pickler *p, uint64_t index)
{
    const uint64_t round = index / 3;
    const uint32_t slot = (uint32_t)(round % LIVE_COUNT);
    const uint64_t size = 512 + vs_rng_below(&p->rng, 4000) * 512;
    const uint64_t address = UINT64_C(0x7f0000000000) + slot * (2 * VS_MIB);
    const uint32_t site = (uint32_t)(round % SITE_COUNT);
    entry e = {.address = address, .size = size - size / 9, .site = site};
    if (index % 3 == 0) {
        e.action = round % 500 == 499 ? T_SEGMENT_ALLOC : T_ALLOC;
        (void)put_entry(p, &e);
    } else if (index % 3 == 1) {
        e.action = T_FREE_REQUESTED;
        p->live_list[slot] = put_entry(p, &e);
    } else {
        e.action = T_FREE_COMPLETED;
        e.site = NOT_YET;
        e.shared = p->live_list[slot];
        (void)put_entry(p, &e);
    }
}

static uint64_t write_snapshot(const char *path, uint64_t bytes)
{
    pickler *const p = calloc(1, sizeof *p);
    uint64_t count = 0;
    must(p != NULL, "out of memory");
    p->out = fopen(path, "wb");
    must(p->out != NULL, "cannot create the file");
    memset(p->frames, 0xff, sizeof p->frames);
    memset(p->texts, 0xff, sizeof p->texts);
    vs_rng_seed(&p->rng, 4);
    p->time_us = UINT64_C(1762906655432898);
    must(fwrite("\x80\x04", 1, 2, p->out) == 2, "cannot write");
    begin_dict(p);
    text(p, T_SEGMENTS);
    (void)begin_list(p);
    for (uint32_t i = 0; i < SEGMENT_COUNT; i++) {
        put_segment(p, i);
    }
    op(p, 'e');
    text(p, T_TRACES);
    (void)begin_list(p);
    (void)begin_list(p);
    while (p->written + p->used < bytes || count % 3 != 0) {
        next_item(p, count);
        put_next_entry(p, count);
        count++;
    }
    put(p, "e", 1);
    put(p, "e", 1);
    text(p, T_ANNOTATIONS);
    op(p, ']');
    (void)memoize(p);
    put(p, "u.", 2);
    flush_frame(p);
    must(fclose(p->out) == 0, "cannot write");
    free(p);
    return count;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double read_once(const char *path, uint64_t *out_events)
{
    vs_arena keep = {0};
    vs_arena scratch = {0};
    vs_err err = {0};
    vs_recording rec = {0};
    const double start = seconds_now();
    must(vs_arena_open(&keep, KEEP_BYTES, &err) && vs_arena_open(&scratch, KEEP_BYTES, &err),
         "arenas");
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    if (!vs_recording_read(&rec, path, &desc, &err)) {
        char line[1024];
        must(false, vs_err_line(&err, line, sizeof line));
    }
    *out_events = rec.devices[0].event_count;
    vs_arena_close(&scratch);
    vs_arena_close(&keep);
    return seconds_now() - start;
}

static uint64_t size_of(const char *path)
{
    vs_file file = {0};
    vs_err err = {0};
    uint64_t bytes = 0;
    must(vs_file_open_head(&file, path, 0, &bytes, &err), "cannot open the file");
    vs_file_close(&file);
    return bytes;
}

/* ru_maxrss counts KiB on Linux. */
static double memory_share(uint64_t file_bytes)
{
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (double)usage.ru_maxrss * 1024 / (double)file_bytes;
}

static void read_and_tell(const char *path)
{
    uint64_t events = 0;
    const uint64_t bytes = size_of(path);
    const double seconds = read_once(path, &events);
    printf("%s: %" PRIu64 " bytes, %" PRIu64
           " events: %.3f s, %.0f MiB/s, most memory %.2f of the "
           "file's size\n",
           path, bytes, events, seconds, (double)bytes / (double)VS_MIB / seconds,
           memory_share(bytes));
}

static int bench(void)
{
    char path[512];
    const char *const folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/bench_snapshot_XXXXXX",
                   folder != NULL ? folder : "/tmp");
    const int fd = mkstemp(path);
    must(fd >= 0, "cannot make a temporary file");
    (void)close(fd);
    const uint64_t count = write_snapshot(path, BENCH_BYTES);
    double best = 1e9;
    for (int run = 0; run < RUNS; run++) {
        uint64_t events = 0;
        const double seconds = read_once(path, &events);
        must(events == count, "another number of events");
        best = seconds < best ? seconds : best;
    }
    const uint64_t bytes = size_of(path);
    (void)unlink(path);
    printf("read_snapshot_mib_per_s %.0f MiB/s\n", (double)bytes / (double)VS_MIB / best);
    printf("read_snapshot_memory_share %.2f of_file\n", memory_share(bytes));
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t bytes = 0;
    if (argc == 4 && strcmp(argv[1], "--write") == 0 &&
        vs_parse_size(vs_str_of(argv[2]), &bytes, NULL)) {
        const uint64_t count = write_snapshot(argv[3], bytes);
        printf("%s: %" PRIu64 " bytes, %" PRIu64 " events\n", argv[3], size_of(argv[3]), count);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--read") == 0) {
        read_and_tell(argv[2]);
        return 0;
    }
    must(argc == 1, "usage: bench_snapshot [--write BYTES PATH | --read PATH]");
    return bench();
}
