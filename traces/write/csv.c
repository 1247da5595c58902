/* traces/write/csv.c - one row per event, as RFC 4180 has it.
 *
 * Lines end in CR LF; a field is quoted when it holds a comma, a quote or a line end. A field that means
 * nothing for a kind of event (the block of a phase, the reserved bytes of a host) is empty, so that no
 * reader takes a 0 for a figure. Totals are those of the event's device just after it. */
#include "traces/write/tracks.h"
#include "vramscope/trace.h"

#include <string.h>

#define DEVICES_MAX 64 /* of a tape: vs_tape_add_device */
#define HEADER                                                                                 \
    "time_ns,event,device,category,size_bytes,asked_bytes,addr,block,name,allocated_bytes,"    \
    "reserved_bytes,used_bytes\r\n"

typedef struct {
    vs_tw_track allocated;
    vs_tw_track reserved;
    vs_tw_track used;
} totals;

static void put_text(vs_outfile *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        vs_outfile_printf(out, "%s", text);
        return;
    }
    vs_outfile_printf(out, "\"");
    for (const char *from = text; *from != '\0';) {
        const size_t plain = strcspn(from, "\"");
        vs_outfile_write(out, from, plain);
        from += plain;
        if (*from == '"') {
            vs_outfile_printf(out, "\"\"");
            from++;
        }
    }
    vs_outfile_printf(out, "\"");
}

static void put_total(vs_outfile *out, const vs_tw_track *track)
{
    if (track->values != NULL) {
        vs_outfile_printf(out, ",%" PRIu64, track->value);
    } else {
        vs_outfile_printf(out, ",");
    }
}

static bool has_category(uint8_t kind)
{
    return kind == VS_EV_ALLOC || kind == VS_EV_FREE || kind == VS_EV_RECAT ||
           kind == VS_EV_LEVEL || kind == VS_EV_FREE_REQUESTED;
}

static bool has_addr(uint8_t kind)
{
    return kind != VS_EV_LEVEL && kind != VS_EV_OOM && kind != VS_EV_PHASE &&
           kind != VS_EV_PROGRESS && kind != VS_EV_SURFACE && kind != VS_EV_MARK;
}

static void put_event(vs_outfile *out, const vs_timeline *tl, const vs_event *event)
{
    vs_outfile_printf(out, "%" PRIu64 ",%s,", event->time_ns,
                      vs_event_kind_key((vs_event_kind)event->kind));
    put_text(out, event->device < tl->device_count
                      ? vs_timeline_string(tl, tl->devices[event->device].name)
                      : "");
    vs_outfile_printf(out, ",%s,%" PRIu64 ",%" PRIu64 ",",
                      has_category(event->kind) ? vs_category_key((vs_category)event->category)
                                                : "",
                      event->size_bytes, event->asked_bytes);
    if (has_addr(event->kind)) {
        vs_outfile_printf(out, "%" PRIu64, event->addr);
    }
    if (event->block != VS_NO_BLOCK) {
        vs_outfile_printf(out, ",%" PRIu32 ",", event->block);
    } else {
        vs_outfile_printf(out, ",,");
    }
    put_text(out, vs_timeline_string(tl, event->name));
}

bool vs_trace_write_csv(const vs_timeline *tl, const char *path, vs_err *err)
{
    totals of[DEVICES_MAX] = {0};
    vs_assert(tl->device_count <= DEVICES_MAX);
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    for (uint32_t d = 0; d < tl->device_count; d++) {
        const uint8_t device = (uint8_t)d;
        of[d].allocated = vs_tw_track_of(tl, device, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
        of[d].reserved = vs_tw_track_of(tl, device, VS_TRACK_RESERVED, VS_CAT_CONTEXT);
        of[d].used = vs_tw_track_of(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    }
    vs_outfile_printf(out, HEADER);
    for (uint32_t i = 0; i < tl->event_count; i++) {
        const vs_event event = vs_timeline_event(tl, i);
        totals none = {0};
        totals *now = event.device < tl->device_count ? &of[event.device] : &none;
        (void)vs_tw_advance(&now->allocated, i);
        (void)vs_tw_advance(&now->reserved, i);
        (void)vs_tw_advance(&now->used, i);
        put_event(out, tl, &event);
        put_total(out, &now->allocated);
        put_total(out, &now->reserved);
        put_total(out, &now->used);
        vs_outfile_printf(out, "\r\n");
    }
    return vs_outfile_commit(out, err);
}
