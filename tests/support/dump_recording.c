/* tests/support/dump_recording.c - see dump_recording.h. */
#include "tests/support/dump_recording.h"

#include <string.h>

#define FNV_BASIS UINT64_C(0xcbf29ce484222325) /* FNV-1a, 64 bits */
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t fnv(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *const at = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ at[i]) * FNV_PRIME;
    }
    return hash;
}

static uint64_t hash_frame(const vs_recording *rec, const vs_rec_frame *frame)
{
    const char *const file = vs_recording_string(rec, frame->file);
    const char *const function = vs_recording_string(rec, frame->function);
    char line[32];
    const int n = snprintf(line, sizeof line, "%" PRIu32, frame->line);
    uint64_t hash = fnv(FNV_BASIS, file, strlen(file) + 1);
    hash = fnv(hash, function, strlen(function) + 1);
    return fnv(hash, line, (size_t)n);
}

static uint64_t hash_stack(const vs_recording *rec, uint32_t stack)
{
    uint64_t hash = 0;
    if (stack == VS_REC_NO_STACK) {
        return 0;
    }
    for (uint32_t i = rec->stack_first[stack]; i < rec->stack_first[stack + 1]; i++) {
        const uint64_t frame = hash_frame(rec, &rec->frames[rec->stack_frames[i]]);
        hash = (hash ^ frame) * FNV_PRIME + 1;
    }
    return hash;
}

static void print_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c > ' ' && *c < 0x7f && *c != '"' && *c != '%') {
            (void)fputc(*c, out);
        } else {
            (void)fprintf(out, "%%%02x", (unsigned)(uint8_t)*c);
        }
    }
    (void)fputc('"', out);
}

static void dump_event(FILE *out, const vs_recording *rec, const vs_rec_event *e)
{
    const uint64_t time = rec->has_time ? rec->epoch_ns + e->time_ns : 0;
    const vs_rec_pool_id pool = rec->pools[e->pool];
    (void)fprintf(out,
                  "E %" PRIu32 " %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                  ".%" PRIu64 " %016" PRIx64 " ",
                  e->origin, vs_rec_action_key((vs_rec_action)e->action), e->addr, e->size,
                  time, rec->streams[e->stream], pool.hi, pool.lo, hash_stack(rec, e->stack));
    print_text(out, vs_recording_string(rec, e->label));
    (void)fprintf(out, "%s\n", e->pad != 0 || e->flags != 0 ? " odd" : "");
}

static void dump_segment(FILE *out, const vs_recording *rec, const vs_rec_segment *s)
{
    const vs_rec_pool_id pool = rec->pools[s->pool];
    (void)fprintf(out,
                  "G %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                  " %" PRIu64 ".%" PRIu64 " %s %s %" PRIu32 "\n",
                  s->addr, s->total, s->allocated, s->active, s->requested,
                  rec->streams[s->stream], pool.hi, pool.lo, s->is_small ? "small" : "large",
                  s->is_expandable ? "expandable" : "fixed", s->block_count);
    for (uint32_t i = 0; i < s->block_count; i++) {
        const vs_rec_block *const b = &rec->blocks[s->block_first + i];
        (void)fprintf(out, "B %" PRIu64 " %" PRIu64 " %" PRIu64 " %u %016" PRIx64 "\n", b->addr,
                      b->size, b->requested, (unsigned)b->state, hash_stack(rec, b->stack));
    }
}

static void dump_device(FILE *out, const vs_recording *rec, const vs_rec_device *d)
{
    (void)fprintf(out, "D %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", d->ordinal, d->event_count,
                  d->segment_count);
    for (uint32_t i = 0; i < d->event_count; i++) {
        dump_event(out, rec, &d->events[i]);
    }
    for (uint32_t i = 0; i < d->segment_count; i++) {
        dump_segment(out, rec, &d->segments[i]);
    }
}

void dump_recording(FILE *out, const vs_recording *rec)
{
    for (uint32_t i = 0; i < rec->device_count; i++) {
        dump_device(out, rec, &rec->devices[i]);
    }
    for (uint32_t i = 0; i < rec->annotation_count; i++) {
        const vs_rec_annotation *const a = &rec->annotations[i];
        (void)fprintf(out, "A %" PRIu64 " %" PRIu32 " ", rec->epoch_ns + a->time_ns, a->device);
        print_text(out, vs_recording_string(rec, a->name));
        print_text(out, vs_recording_string(rec, a->stage));
        (void)fputc('\n', out);
    }
    if (!rec->has_settings) {
        return;
    }
    (void)fprintf(out, "S ");
    print_text(out, rec->alloc_conf != NULL ? rec->alloc_conf : "");
    (void)fprintf(out, " %" PRIu64 " %.17g %s", rec->max_split_bytes, rec->gc_threshold,
                  rec->expandable_segments ? "expandable" : "fixed");
    for (uint32_t i = 0; i < 16; i++) {
        (void)fprintf(out, " %" PRIu32, rec->divisions[i]);
    }
    (void)fputc('\n', out);
}
