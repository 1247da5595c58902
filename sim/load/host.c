/* host.c - the host's memory: process heap and page cache.
 *
 * Anonymous memory (the process, cast temporaries) cannot be evicted: when it passes the machine's RAM the
 * kernel kills the process. Page cache of the checkpoint is evictable and holds what was read, as far as the rest of
 * RAM allows; nothing is read twice in a one-GPU load, so eviction costs no time [2.2, 2.7]. */
#include "load.h"

static void record(loader *ld, vs_category category, vs_bytes bytes)
{
    const vs_event event = {.time_ns = vs_engine_now(ld->engine),
                            .kind = VS_EV_LEVEL,
                            .device = ld->host_device,
                            .category = (uint8_t)category,
                            .block = VS_NO_BLOCK,
                            .size_bytes = bytes};
    vs_tape_event(ld->tape, &event);
}

/* wanted: what the cache would hold if there were room. Pages that were evicted do not come back. */
static void settle_page_cache(loader *ld, vs_bytes wanted)
{
    const vs_bytes ram = ld->machine->host.ram_bytes;
    const vs_bytes room = ram > ld->anon_bytes ? ram - ld->anon_bytes : 0;
    const vs_bytes held = wanted < room ? wanted : room;
    if (held < ld->file_bytes && ld->warm_bytes > held) {
        ld->warm_bytes = held; /* evicted before it was used: it will come from the disk */
    }
    if (held == ld->file_bytes) {
        return;
    }
    ld->file_bytes = held;
    if (held > ld->file_peak_bytes) {
        ld->file_peak_bytes = held;
    }
    record(ld, VS_CAT_PAGECACHE, held);
}

bool host_take_anon(loader *ld, vs_bytes bytes)
{
    if (bytes == 0) {
        return true;
    }
    const vs_bytes ram = ld->machine->host.ram_bytes;
    if (ld->anon_bytes > ram || bytes > ram - ld->anon_bytes) {
        return false;
    }
    ld->anon_bytes += bytes;
    if (ld->anon_bytes > ld->anon_peak_bytes) {
        ld->anon_peak_bytes = ld->anon_bytes;
    }
    settle_page_cache(ld, ld->file_bytes);
    record(ld, VS_CAT_HOSTHEAP, ld->anon_bytes);
    return true;
}

void host_give_anon(loader *ld, vs_bytes bytes)
{
    if (bytes == 0) {
        return;
    }
    vs_assert(bytes <= ld->anon_bytes);
    ld->anon_bytes -= bytes;
    record(ld, VS_CAT_HOSTHEAP, ld->anon_bytes);
}

void host_file_read(loader *ld, vs_bytes bytes)
{
    settle_page_cache(ld, ld->file_bytes + bytes); /* both bounded by the checkpoint's size */
}

bool host_take_pages(loader *ld, vs_bytes bytes)
{
    if (ld->warm_bytes < bytes) {
        return true;
    }
    ld->warm_bytes -= bytes;
    return false;
}
