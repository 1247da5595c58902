/* sim/hardware/machine.c - from what the user said to a machine in which every figure is known.
 *
 * Each thing is an entry built in layers, the later one winning:
 *
 *   card   common latencies | catalogue entry (overlay on it) or the generic card | HOST.json, if it
 *          means this card | the size on the command line
 *   host   catalogue "desktop" | the catalogue host asked for, or HOST.json | --ram
 *          (figures stated in memory are a HOST.json over the host asked for)
 *   disk   catalogue "nvme-pcie4" | the catalogue disk asked for, or HOST.json
 *
 * What remains from a catalogue at the end is an assumption and is listed with its source. */
#include "sim/hardware/figures.h"

#include <string.h>

#define DEFAULT_GPU  "rtx-4090"
#define DEFAULT_HOST "desktop"
#define DEFAULT_DISK "nvme-pcie4"

typedef struct {
    vs_machine machine;
    vs_arena *arena;
    const vs_machine_spec *spec;
    const char *overlay_dir;
    vs_err *err;
    vs_hw_entry common;  /* what all cards share */
    vs_hw_entry generic; /* a card of which only the size is known */
    vs_hw_entry host;
    vs_hw_entry disk;
    vs_hw_host_file file; /* of --host; zero when that is a catalogue name */
} resolver;

/* ---- finished structs ------------------------------------------------------------------------ */

static const char *text_or(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

vs_gpu vs_hw_to_gpu(const vs_hw_entry *entry)
{
    const vs_hw_figure *f = entry->figures;
    return (vs_gpu){.id = text_or(entry->id, "generic"),
                    .name = text_or(entry->name, text_or(entry->id, "generic card")),
                    .compute_capability = text_or(entry->compute_capability, ""),
                    .total_bytes = f[VS_HW_GPU_CAPACITY].value,
                    .smi_total_bytes = f[VS_HW_GPU_SMI_TOTAL].value,
                    .context_bytes = f[VS_HW_GPU_CONTEXT].value,
                    .mem_bandwidth_bps = f[VS_HW_GPU_BANDWIDTH].value,
                    .pcie_gen = (uint32_t)f[VS_HW_GPU_PCIE_GEN].value,
                    .pcie_lanes = (uint32_t)f[VS_HW_GPU_PCIE_LANES].value,
                    .is_sxm = entry->is_sxm,
                    .is_unified = entry->is_unified,
                    .fp32_flops = f[VS_HW_GPU_FP32].value,
                    .fp16_flops = f[VS_HW_GPU_FP16].value,
                    .bf16_flops = f[VS_HW_GPU_BF16].value,
                    .quantise_bps = f[VS_HW_GPU_QUANTISE].value,
                    .malloc_ns = f[VS_HW_GPU_MALLOC].value,
                    .free_ns = f[VS_HW_GPU_FREE].value,
                    .launch_ns = f[VS_HW_GPU_LAUNCH].value,
                    .link = text_or(entry->link, "")};
}

vs_host vs_hw_to_host(const vs_hw_entry *entry)
{
    const vs_hw_figure *f = entry->figures;
    return (vs_host){.name = text_or(entry->id, text_or(entry->name, "host")),
                     .title = text_or(entry->name, text_or(entry->id, "host")),
                     .ram_bytes = f[VS_HW_HOST_RAM].value,
                     .base_rss_bytes = f[VS_HW_HOST_BASE_RSS].value,
                     .cores = (uint32_t)f[VS_HW_HOST_CORES].value,
                     .pcie_gen = (uint32_t)f[VS_HW_HOST_PCIE_GEN].value,
                     .memcpy_bps = f[VS_HW_HOST_MEMCPY].value,
                     .cast_bps = f[VS_HW_HOST_CAST].value,
                     .h2d_pinned_bps = f[VS_HW_HOST_PINNED].value,
                     .h2d_pageable_bps = f[VS_HW_HOST_PAGEABLE].value,
                     .d2h_bps = f[VS_HW_HOST_D2H].value,
                     .copy_latency_ns = f[VS_HW_HOST_LATENCY].value};
}

vs_disk vs_hw_to_disk(const vs_hw_entry *entry)
{
    const vs_hw_figure *f = entry->figures;
    return (vs_disk){.name = text_or(entry->id, text_or(entry->name, "disk")),
                     .title = text_or(entry->name, text_or(entry->id, "disk")),
                     .read_bps = f[VS_HW_DISK_READ].value,
                     .mmap_read_bps = f[VS_HW_DISK_MMAP_READ].value,
                     .capacity_bytes = f[VS_HW_DISK_CAPACITY].value};
}

/* ---- assumptions --------------------------------------------------------------------------------- */

void vs_machine_assume(vs_machine *machine, const char *key, uint64_t value, const char *source)
{
    vs_assert(machine->assumed_count < VS_ASSUMED_MAX);
    machine->assumed[machine->assumed_count++] = (vs_assumed){key, value, source};
}

/* Lists every assumed figure of entry as "PREFIX.KEY". */
static bool assume_figures(resolver *r, const vs_hw_entry *entry, const vs_hw_kind *kind,
                           const char *prefix)
{
    for (uint32_t i = 0; i < kind->count; i++) {
        const vs_hw_figure *figure = &entry->figures[i];
        if (figure->origin != VS_HW_ASSUMED) {
            continue;
        }
        const char *key = vs_arena_printf(r->arena, "%s.%s", prefix, kind->keys[i].key);
        if (key == NULL) {
            return vs_fail_memory(r->err, r->arena, "the list of assumptions");
        }
        vs_machine_assume(&r->machine, key, figure->value, figure->source);
    }
    return true;
}

/* ---- host and disk ---------------------------------------------------------------------------------- */

/* A name of the catalogue holds no slash and does not end in .json. */
static bool is_path(vs_str text)
{
    return memchr(text.ptr, '/', text.len) != NULL || vs_str_ends(text, ".json");
}

static bool find_into(resolver *r, const vs_hw_kind *kind, vs_str id, vs_hw_entry *out)
{
    const vs_hw_entry *found = vs_hw_find(kind, r->arena, id, r->overlay_dir, r->err);
    if (found == NULL) {
        return false;
    }
    vs_hw_overlay(out, found, kind);
    return true;
}

static bool read_file(resolver *r, vs_str path, vs_hw_host_file *out)
{
    const char *terminated = vs_str_copy(r->arena, path);
    if (terminated == NULL) {
        return vs_fail_memory(r->err, r->arena, "the path of a HOST.json");
    }
    if (!vs_hw_read_host_file(out, r->arena, terminated, r->err)) {
        return false;
    }
    if (out->host.name == NULL) {
        out->host.name = terminated;
    }
    out->host.id = out->host.name;
    return true;
}

/* Figures that come as a text: a HOST.json without a file. */
static bool overlay_stated(resolver *r)
{
    if (r->spec->stated.len == 0) {
        return true;
    }
    if (!vs_hw_parse_host_file(&r->file, r->arena, r->spec->stated.ptr, r->spec->stated.len,
                               "the stated host", r->err)) {
        return false;
    }
    vs_hw_overlay(&r->host, &r->file.host, &vs_hw_hosts);
    r->file.host.id = r->host.id;
    return true;
}

static bool resolve_host(resolver *r)
{
    const vs_str asked = r->spec->host;
    if (r->spec->stated.len > 0 && asked.len > 0 && is_path(asked)) {
        return vs_fail(r->err, VS_ERR_VALUE,
                       "--host %.*s: the host's figures are stated already; leave it out",
                       (int)asked.len, asked.ptr);
    }
    if (!find_into(r, &vs_hw_hosts, vs_str_of(DEFAULT_HOST), &r->host)) {
        return false;
    }
    if (asked.len > 0 && is_path(asked)) {
        if (!read_file(r, asked, &r->file)) {
            return false;
        }
        vs_hw_overlay(&r->host, &r->file.host, &vs_hw_hosts);
    } else if (asked.len > 0) {
        const vs_hw_entry *found =
            vs_hw_find(&vs_hw_hosts, r->arena, asked, r->overlay_dir, r->err);
        if (found == NULL) {
            return false;
        }
        vs_hw_overlay(&r->host, found, &vs_hw_hosts);
    }
    if (!overlay_stated(r)) {
        return false;
    }
    if (r->spec->ram_bytes > 0) {
        r->host.figures[VS_HW_HOST_RAM] =
            (vs_hw_figure){r->spec->ram_bytes, "--ram", VS_HW_STATED};
    }
    return true;
}

/* A HOST.json that states one of the two rates says something about the other: one thread is not
 * faster than the device. */
static void reconcile_disk(vs_hw_entry *disk)
{
    vs_hw_figure *read = &disk->figures[VS_HW_DISK_READ];
    vs_hw_figure *mmap_read = &disk->figures[VS_HW_DISK_MMAP_READ];
    if (mmap_read->value <= read->value && mmap_read->value > 0) {
        return;
    }
    if (mmap_read->origin == VS_HW_STATED && read->origin == VS_HW_ASSUMED) {
        *read = (vs_hw_figure){mmap_read->value,
                               "at least what one thread was measured to read", VS_HW_ASSUMED};
    } else if (mmap_read->origin != VS_HW_STATED) {
        *mmap_read = (vs_hw_figure){read->value,
                                    "no figure: the rate of the device, which one thread "
                                    "can take in",
                                    VS_HW_ASSUMED};
    }
}

static bool disk_of_file(resolver *r, vs_hw_host_file *file)
{
    file->disk.id = file->host.id;
    file->disk.name = vs_arena_printf(r->arena, "disk of %s", file->host.id);
    if (file->disk.name == NULL) {
        return vs_fail_memory(r->err, r->arena, "the name of a disk");
    }
    vs_hw_overlay(&r->disk, &file->disk, &vs_hw_disks);
    return true;
}

static bool resolve_disk(resolver *r)
{
    const vs_str asked = r->spec->disk;
    const bool is_file = asked.len > 0 && is_path(asked);
    const vs_str base = asked.len > 0 && !is_file ? asked : vs_str_of(DEFAULT_DISK);
    if (!find_into(r, &vs_hw_disks, base, &r->disk)) {
        return false;
    }
    if (is_file) {
        vs_hw_host_file file = {0};
        if (!read_file(r, asked, &file) || !disk_of_file(r, &file)) {
            return false;
        }
        if (!file.has_disk) {
            return vs_fail(r->err, VS_ERR_VALUE,
                           "--disk %s: the file has no disk_read_bytes_per_s", file.host.id);
        }
    } else if (asked.len == 0 && r->file.has_disk && !disk_of_file(r, &r->file)) {
        return false;
    }
    if (r->disk.figures[VS_HW_DISK_READ].value == 0) {
        return vs_fail(r->err, VS_ERR_VALUE,
                       "disk \"%s\" of the overlay has no read_bytes_per_s", r->disk.id);
    }
    reconcile_disk(&r->disk);
    return true;
}

/* ---- cards ---------------------------------------------------------------------------------------------- */

/* What one --gpu says: a name, a size, or both. */
typedef struct {
    vs_str id; /* empty: only a size */
    vs_bytes size_bytes;
    bool has_size;
} gpu_words;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_gpu_words(vs_str text, gpu_words *out, vs_err *err)
{
    gpu_words words = {.id = text};
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    vs_str size = {0};
    if (colon > 0) {
        words.id.len = colon - 1;
        size = (vs_str){text.ptr + colon, text.len - colon};
        words.has_size = true;
    } else if (text.len > 0 && (is_digit(text.ptr[0]) || text.ptr[0] == '.')) {
        words.id.len = 0;
        size = text;
        words.has_size = true;
    }
    if (words.has_size && !vs_parse_size(size, &words.size_bytes, err)) {
        vs_err_at_input(err, "--gpu");
        return false;
    }
    if (words.has_size && words.size_bytes < VS_MIB) {
        return vs_fail(err, VS_ERR_VALUE,
                       "--gpu %.*s: a card of %" PRIu64
                       " bytes; write the unit, as in 24GiB, or the name, as in rtx-4090 "
                       "(`vramscope list gpus`)",
                       (int)text.len, text.ptr, words.size_bytes);
    }
    if (words.id.len == 0 && !words.has_size) {
        return vs_fail(err, VS_ERR_VALUE,
                       "--gpu is empty; give a name such as rtx-4090 or a size such as "
                       "24GiB (`vramscope list gpus`)");
    }
    *out = words;
    return true;
}

static void fill_unknown(vs_hw_entry *entry, const vs_hw_entry *from, uint32_t index)
{
    if (entry->figures[index].origin == VS_HW_UNKNOWN) {
        entry->figures[index] = from->figures[index];
    }
}

/* True when a HOST.json that describes a card means this one: same id or name, a bare size, or
 * no name at all. */
static bool file_means(const resolver *r, const vs_hw_entry *entry, const gpu_words *words)
{
    const vs_hw_entry *own = &r->file.gpu;
    if (!r->file.has_gpu || words->id.len == 0 || (own->id == NULL && own->name == NULL)) {
        return r->file.has_gpu;
    }
    const char *const names[] = {own->id, own->name};
    for (size_t i = 0; i < 2; i++) {
        vs_str name = vs_str_of(names[i]);
        if (vs_str_starts(name, "NVIDIA ")) {
            name = (vs_str){name.ptr + 7, name.len - 7};
        }
        if (name.len > 0 && (vs_str_is_nocase(name, text_or(entry->id, "")) ||
                             vs_str_is_nocase(name, text_or(entry->name, "")))) {
            return true;
        }
    }
    return false;
}

/* The finished entry of one card. */
static bool resolve_gpu_entry(resolver *r, const gpu_words *words, vs_hw_entry *out)
{
    vs_hw_entry entry = r->common;
    if (words->id.len == 0) {
        vs_hw_overlay(&entry, &r->generic, &vs_hw_gpus);
        entry.id = "generic";
    } else if (!find_into(r, &vs_hw_gpus, words->id, &entry)) {
        return false;
    }
    if (file_means(r, &entry, words)) {
        const char *id = entry.id;
        vs_hw_overlay(&entry, &r->file.gpu, &vs_hw_gpus);
        entry.id = id;
    }
    if (words->has_size) {
        entry.figures[VS_HW_GPU_CAPACITY] =
            (vs_hw_figure){words->size_bytes, "--gpu", VS_HW_STATED};
        entry.figures[VS_HW_GPU_SMI_TOTAL] =
            (vs_hw_figure){0}; /* of another amount of memory */
    }
    if (entry.figures[VS_HW_GPU_CAPACITY].origin == VS_HW_UNKNOWN) {
        return vs_fail(r->err, VS_ERR_VALUE,
                       "GPU \"%s\" has no capacity_bytes; add it, or give the size: "
                       "--gpu %s:24GiB",
                       entry.id, entry.id);
    }
    fill_unknown(&entry, &r->generic, VS_HW_GPU_CONTEXT);
    fill_unknown(&entry, &r->generic, VS_HW_GPU_BANDWIDTH);
    if (entry.link == NULL) {
        fill_unknown(&entry, &r->generic, VS_HW_GPU_PCIE_GEN);
        fill_unknown(&entry, &r->generic, VS_HW_GPU_PCIE_LANES);
    }
    *out = entry;
    return true;
}

/* Lists the assumptions of card number index and its link. Rates of the link belong to the host for
 * card 0; those of another card are listed where they differ. */
static bool assume_gpu(resolver *r, uint32_t index, const vs_hw_entry *entry,
                       const vs_hw_entry *link)
{
    const char *prefix = index == 0 ? "gpu" : vs_arena_printf(r->arena, "gpu%" PRIu32, index);
    if (prefix == NULL) {
        return vs_fail_memory(r->err, r->arena, "the list of assumptions");
    }
    const vs_gpu *first = &r->machine.gpus[0];
    const vs_gpu *gpu = &r->machine.gpus[index];
    const bool is_other_link = index == 0 || gpu->h2d_pinned_bps != first->h2d_pinned_bps ||
                               gpu->h2d_pageable_bps != first->h2d_pageable_bps ||
                               gpu->d2h_bps != first->d2h_bps;
    return assume_figures(r, entry, &vs_hw_gpus, prefix) &&
           (!is_other_link ||
            assume_figures(r, link, &vs_hw_links, index == 0 ? "host" : prefix));
}

static bool add_gpu(resolver *r, const gpu_words *words)
{
    vs_hw_entry entry = {0};
    vs_hw_entry link = {0};
    if (!resolve_gpu_entry(r, words, &entry) ||
        !vs_hw_link_of(&link, r->arena, &entry, &r->host, r->overlay_dir, r->err)) {
        return false;
    }
    const uint32_t index = r->machine.gpu_count;
    vs_gpu *gpu = &r->machine.gpus[index];
    *gpu = vs_hw_to_gpu(&entry);
    gpu->link = link.id;
    gpu->h2d_pinned_bps = link.figures[VS_HW_LINK_PINNED].value;
    gpu->h2d_pageable_bps = link.figures[VS_HW_LINK_PAGEABLE].value;
    gpu->d2h_bps = link.figures[VS_HW_LINK_D2H].value;
    r->machine.gpu_count++;
    return assume_gpu(r, index, &entry, &link);
}

/* No --gpu: the card of HOST.json, or the default. */
static bool add_default_gpu(resolver *r)
{
    gpu_words words = {.id = vs_str_of(DEFAULT_GPU)};
    if (!r->file.has_gpu) {
        return add_gpu(r, &words);
    }
    const vs_hw_entry *own = &r->file.gpu;
    words.id = vs_str_of(text_or(own->id, own->name));
    vs_err unknown = {0};
    const bool is_known = words.id.len > 0 && vs_hw_find(&vs_hw_gpus, r->arena, words.id,
                                                         r->overlay_dir, &unknown) != NULL;
    if (is_known) {
        return add_gpu(r, &words);
    }
    if (own->figures[VS_HW_GPU_CAPACITY].origin == VS_HW_UNKNOWN) {
        if (words.id.len > 0) {
            return vs_fail(r->err, VS_ERR_NOT_FOUND,
                           "%s: gpu: %s, and no capacity_bytes is given", r->file.host.id,
                           unknown.text);
        }
        words.id = vs_str_of(DEFAULT_GPU);
        return add_gpu(r, &words);
    }
    words.id.len = 0;
    return add_gpu(r, &words);
}

static bool resolve_gpus(resolver *r)
{
    if (!vs_hw_find_block(&vs_hw_gpus, r->arena, "common", &r->common, r->err) ||
        !vs_hw_find_block(&vs_hw_gpus, r->arena, "generic", &r->generic, r->err)) {
        return false;
    }
    if (r->spec->gpu_count == 0) {
        return add_default_gpu(r);
    }
    vs_assert(r->spec->gpu_count <= VS_GPUS_MAX);
    for (uint32_t i = 0; i < r->spec->gpu_count; i++) {
        uint32_t earlier = 0;
        while (earlier < i && !vs_str_equal(r->spec->gpus[earlier], r->spec->gpus[i])) {
            earlier++;
        }
        if (earlier < i) {
            r->machine.gpus[r->machine.gpu_count++] = r->machine.gpus[earlier];
            continue;
        }
        gpu_words words = {0};
        if (!read_gpu_words(r->spec->gpus[i], &words, r->err) || !add_gpu(r, &words)) {
            return false;
        }
    }
    return true;
}

/* ---- the machine -------------------------------------------------------------------------------------------- */

static bool finish(resolver *r)
{
    /* the three rates are listed with card 0, as the link's */
    vs_hw_entry host = r->host;
    host.figures[VS_HW_HOST_PINNED] = (vs_hw_figure){0};
    host.figures[VS_HW_HOST_PAGEABLE] = (vs_hw_figure){0};
    host.figures[VS_HW_HOST_D2H] = (vs_hw_figure){0};
    r->machine.host = vs_hw_to_host(&r->host);
    r->machine.host.h2d_pinned_bps = r->machine.gpus[0].h2d_pinned_bps;
    r->machine.host.h2d_pageable_bps = r->machine.gpus[0].h2d_pageable_bps;
    r->machine.host.d2h_bps = r->machine.gpus[0].d2h_bps;
    r->machine.disk = vs_hw_to_disk(&r->disk);
    return assume_figures(r, &host, &vs_hw_hosts, "host") &&
           assume_figures(r, &r->disk, &vs_hw_disks, "disk");
}

bool vs_machine_resolve(vs_machine *machine, vs_arena *arena, const vs_machine_spec *spec,
                        const char *overlay_dir, vs_err *err)
{
    resolver r = {.arena = arena, .spec = spec, .overlay_dir = overlay_dir, .err = err};
    if (!resolve_host(&r) || !resolve_disk(&r) || !resolve_gpus(&r) || !finish(&r)) {
        return false;
    }
    *machine = r.machine;
    return true;
}

/* ---- everything known ------------------------------------------------------------------------------------------ */

static bool load_gpus(vs_hardware_catalogue *out, vs_arena *arena, const char *overlay_dir,
                      vs_err *err)
{
    vs_hw_entry common = {0};
    vs_hw_entry *entries = NULL;
    uint32_t count = 0;
    if (!vs_hw_find_block(&vs_hw_gpus, arena, "common", &common, err) ||
        !vs_hw_load_all(&vs_hw_gpus, arena, overlay_dir, &entries, &count, err)) {
        return false;
    }
    vs_gpu *gpus = VS_ARRAY(arena, vs_gpu, count);
    if (gpus == NULL) {
        return vs_fail_memory(err, arena, "the list of GPUs");
    }
    for (uint32_t i = 0; i < count; i++) {
        vs_hw_entry entry = common;
        vs_hw_overlay(&entry, &entries[i], &vs_hw_gpus);
        gpus[i] = vs_hw_to_gpu(&entry);
    }
    out->gpus = gpus;
    out->gpu_count = count;
    return true;
}

static bool load_hosts(vs_hardware_catalogue *out, vs_arena *arena, const char *overlay_dir,
                       vs_err *err)
{
    vs_hw_entry *entries = NULL;
    uint32_t count = 0;
    if (!vs_hw_load_all(&vs_hw_hosts, arena, overlay_dir, &entries, &count, err)) {
        return false;
    }
    vs_host *hosts = VS_ARRAY(arena, vs_host, count);
    if (hosts == NULL) {
        return vs_fail_memory(err, arena, "the list of hosts");
    }
    for (uint32_t i = 0; i < count; i++) {
        hosts[i] = vs_hw_to_host(&entries[i]);
    }
    out->hosts = hosts;
    out->host_count = count;
    return true;
}

static bool load_disks(vs_hardware_catalogue *out, vs_arena *arena, const char *overlay_dir,
                       vs_err *err)
{
    vs_hw_entry *entries = NULL;
    uint32_t count = 0;
    if (!vs_hw_load_all(&vs_hw_disks, arena, overlay_dir, &entries, &count, err)) {
        return false;
    }
    vs_disk *disks = VS_ARRAY(arena, vs_disk, count);
    if (disks == NULL) {
        return vs_fail_memory(err, arena, "the list of disks");
    }
    for (uint32_t i = 0; i < count; i++) {
        reconcile_disk(&entries[i]);
        disks[i] = vs_hw_to_disk(&entries[i]);
    }
    out->disks = disks;
    out->disk_count = count;
    return true;
}

bool vs_hardware_load(vs_hardware_catalogue *out, vs_arena *arena, const char *overlay_dir,
                      vs_err *err)
{
    vs_hardware_catalogue all = {0};
    if (!load_gpus(&all, arena, overlay_dir, err) ||
        !load_hosts(&all, arena, overlay_dir, err) ||
        !load_disks(&all, arena, overlay_dir, err)) {
        return false;
    }
    *out = all;
    return true;
}
