/* sim/hardware/figures.c - the figures that cards, hosts, links and disks have, and how they are read.
 *
 * One table per kind names each figure, its key in JSON and the values that can be meant. Limits are
 * wide: they keep nonsense (a rate of zero, a petabyte of RAM in bytes per second) away from the
 * arithmetic of the engine, they do not judge hardware. */
#include "sim/hardware/figures.h"

#include <string.h>

#define BYTES_MAX    (UINT64_C(1) << 50)        /* 1 PiB */
#define RATE_MAX     UINT64_C(1000000000000000) /* 1 PB/s */
#define FLOPS_MAX    UINT64_C(9007199254740992) /* 2^53, what JSON carries exactly: 9 PFLOPS */
#define DELAY_MAX_NS UINT64_C(1000000000)       /* one second for one call */

#define VS_X(id, key, min, max) {key, min, max},
static const vs_hw_key gpu_keys[] = {VS_HW_GPU_FIGURES(VS_X)};
static const vs_hw_key host_keys[] = {VS_HW_HOST_FIGURES(VS_X)};
static const vs_hw_key link_keys[] = {VS_HW_LINK_FIGURES(VS_X)};
static const vs_hw_key disk_keys[] = {VS_HW_DISK_FIGURES(VS_X)};
#undef VS_X

_Static_assert(VS_HW_GPU_COUNT <= VS_HW_FIGURES_MAX, "figures of a card fit");
_Static_assert(VS_HW_HOST_COUNT <= VS_HW_FIGURES_MAX, "figures of a host fit");

const vs_hw_kind vs_hw_gpus = {.noun = "GPU",
                               .file = "gpus.json",
                               .format = "vramscope.gpus/1",
                               .list = "gpus",
                               .keys = gpu_keys,
                               .count = VS_HW_GPU_COUNT,
                               .is_gpu = true};
const vs_hw_kind vs_hw_hosts = {.noun = "host",
                                .file = "hosts.json",
                                .format = "vramscope.hosts/1",
                                .list = "hosts",
                                .keys = host_keys,
                                .count = VS_HW_HOST_COUNT};
const vs_hw_kind vs_hw_links = {.noun = "link",
                                .file = "hosts.json",
                                .format = "vramscope.hosts/1",
                                .list = "links",
                                .keys = link_keys,
                                .count = VS_HW_LINK_COUNT};
const vs_hw_kind vs_hw_disks = {.noun = "disk",
                                .file = "disks.json",
                                .format = "vramscope.disks/1",
                                .list = "disks",
                                .keys = disk_keys,
                                .count = VS_HW_DISK_COUNT};

/* Keys of an entry that are no figures; cards have the later ones too. */
static const char *const entry_texts[] = {
    "id", "name", "note", "sources", "compute_capability", "link", "is_sxm", "is_unified"};
#define TEXTS_OF_ALL 4
#define TEXTS_OF_GPU (sizeof entry_texts / sizeof entry_texts[0])

/* ---- one figure --------------------------------------------------------------------------- */

/* Index of the figure called key (prefix included), or count. */
static uint32_t find_figure(const vs_hw_reading *reading, const char *key)
{
    const size_t prefix_len = strlen(reading->prefix);
    if (strncmp(key, reading->prefix, prefix_len) != 0) {
        return reading->kind->count;
    }
    uint32_t i = 0;
    while (i < reading->kind->count &&
           strcmp(key + prefix_len, reading->kind->keys[i].key) != 0) {
        i++;
    }
    return i;
}

vs_jnode vs_hw_member(const vs_jnode *object, const char *key)
{
    /* the getters treat null as absent, so a number that is not there is the test for null */
    uint64_t number = UINT64_MAX;
    const bool is_null =
        vs_json_get_u64(object, key, false, &number, NULL) && number == UINT64_MAX;
    return is_null ? (vs_jnode){0} : vs_json_member(object, key);
}

bool vs_hw_read_member(vs_hw_entry *entry, const vs_jnode *object, const vs_jnode *member,
                       const vs_hw_reading *reading, bool *is_mine, vs_err *err)
{
    const uint32_t index = find_figure(reading, vs_json_key(member));
    *is_mine = index < reading->kind->count;
    if (!*is_mine) {
        return true;
    }
    const vs_hw_key *key = &reading->kind->keys[index];
    uint64_t value = UINT64_MAX; /* stays when the member is null */
    if (!vs_json_get_u64(object, vs_json_key(member), false, &value, err)) {
        return false;
    }
    if (value == UINT64_MAX) {
        return true;
    }
    if (value < key->min || value > key->max) {
        return vs_json_fail(member, err,
                            "%" PRIu64 " cannot be: from %" PRIu64 " to %" PRIu64
                            " is accepted; leave the key out if it is not known",
                            value, key->min, key->max);
    }
    entry->figures[index] =
        (vs_hw_figure){.value = value, .source = reading->source, .origin = reading->origin};
    return true;
}

bool vs_hw_fail_unknown_key(const vs_jnode *member, const vs_hw_reading *reading,
                            const char *const *extra, size_t extra_count, vs_err *err)
{
    const char *candidates[VS_HW_FIGURES_MAX + 16] = {NULL};
    size_t count = 0;
    for (uint32_t i = 0; i < reading->kind->count; i++) {
        candidates[count++] = reading->kind->keys[i].key;
    }
    for (size_t i = 0; i < extra_count; i++) {
        vs_assert(count < sizeof candidates / sizeof candidates[0]);
        candidates[count++] = extra[i];
    }
    const char *nearest = vs_nearest(vs_str_of(vs_json_key(member)), candidates, count);
    if (nearest != NULL) {
        return vs_json_fail(member, err, "unknown key; the nearest known one is \"%s\"",
                            nearest);
    }
    return vs_json_fail(member, err, "unknown key of a %s; remove it", reading->kind->noun);
}

/* ---- sources --------------------------------------------------------------------------------- */

bool vs_hw_read_sources(vs_hw_entry *entry, vs_arena *arena, const vs_jnode *sources,
                        const vs_hw_reading *reading, vs_err *err)
{
    const vs_hw_reading bare = {.kind = reading->kind, .prefix = ""};
    if (!vs_json_is_object(sources)) {
        return vs_json_fail(sources, err, "expected an object {key: text}");
    }
    for (vs_jnode i = vs_json_first(sources); i.node != NULL; i = vs_json_next(&i)) {
        vs_str text = {0};
        if (!vs_json_as_str(&i, &text, err)) {
            return false;
        }
        uint32_t index = find_figure(reading, vs_json_key(&i));
        if (index == reading->kind->count) {
            index = find_figure(&bare, vs_json_key(&i));
        }
        if (index == reading->kind->count) {
            continue;
        }
        const char *copy = vs_str_copy(arena, text);
        if (copy == NULL) {
            return vs_fail_memory(err, arena, "the source of a figure");
        }
        entry->figures[index].source = copy;
    }
    return true;
}

/* ---- a whole entry ------------------------------------------------------------------------------- */

/* A member that is null leaves *out alone. */
static bool read_text(vs_arena *arena, const vs_jnode *object, const char *key,
                      const char **out, vs_err *err)
{
    vs_str text = {0};
    if (!vs_json_get_str(object, key, false, &text, err)) {
        return false;
    }
    if (text.ptr == NULL) {
        return true;
    }
    const char *copy = vs_str_copy(arena, text);
    if (copy == NULL) {
        return vs_fail_memory(err, arena, "a text of a hardware entry");
    }
    *out = copy;
    return true;
}

/* key is one of entry_texts */
static bool read_entry_text(vs_hw_entry *entry, vs_arena *arena, const vs_jnode *object,
                            const char *key, vs_err *err)
{
    const char *note =
        NULL; /* checked to be a text, then forgotten: notes are for readers of the file */

    const struct {
        const char *key;
        const char **out;
    } texts[] = {{"id", &entry->id},
                 {"name", &entry->name},
                 {"note", &note},
                 {"compute_capability", &entry->compute_capability},
                 {"link", &entry->link}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(key, texts[i].key) == 0) {
            return read_text(arena, object, key, texts[i].out, err);
        }
    }
    if (strcmp(key, "is_sxm") == 0) {
        return vs_json_get_bool(object, key, false, &entry->is_sxm, err);
    }
    if (strcmp(key, "is_unified") == 0) {
        return vs_json_get_bool(object, key, false, &entry->is_unified, err);
    }
    return true; /* sources: read when all figures are known */
}

static bool is_entry_text(const char *key, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(key, entry_texts[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool vs_hw_read_entry(vs_hw_entry *entry, vs_arena *arena, const vs_jnode *object,
                      const vs_hw_reading *reading, vs_err *err)
{
    if (!vs_json_is_object(object)) {
        return vs_json_fail(object, err, "expected an object that describes a %s",
                            reading->kind->noun);
    }
    vs_hw_entry fresh = {0};
    const size_t text_count = reading->kind->is_gpu ? TEXTS_OF_GPU : TEXTS_OF_ALL;
    for (vs_jnode i = vs_json_first(object); i.node != NULL; i = vs_json_next(&i)) {
        bool is_figure = false;
        if (!vs_hw_read_member(&fresh, object, &i, reading, &is_figure, err)) {
            return false;
        }
        if (is_figure) {
            continue;
        }
        if (!is_entry_text(vs_json_key(&i), text_count)) {
            return vs_hw_fail_unknown_key(&i, reading, entry_texts, text_count, err);
        }
        if (!read_entry_text(&fresh, arena, object, vs_json_key(&i), err)) {
            return false;
        }
    }
    const vs_jnode sources = vs_hw_member(object, "sources");
    if (sources.node != NULL && !vs_hw_read_sources(&fresh, arena, &sources, reading, err)) {
        return false;
    }
    *entry = fresh;
    return true;
}

static void overlay_text(const char **under, const char *over)
{
    if (over != NULL) {
        *under = over;
    }
}

void vs_hw_overlay(vs_hw_entry *under, const vs_hw_entry *over, const vs_hw_kind *kind)
{
    overlay_text(&under->id, over->id);
    overlay_text(&under->name, over->name);
    overlay_text(&under->compute_capability, over->compute_capability);
    overlay_text(&under->link, over->link);
    under->is_sxm = under->is_sxm || over->is_sxm;
    under->is_unified = under->is_unified || over->is_unified;
    for (uint32_t i = 0; i < kind->count; i++) {
        if (over->figures[i].origin != VS_HW_UNKNOWN) {
            under->figures[i] = over->figures[i];
        }
    }
}
