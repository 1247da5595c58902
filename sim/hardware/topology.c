/* sim/hardware/topology.c - how a card hangs on its host, and how fast bytes cross.
 *
 * A card that names its link (an SXM module, NVLink-C2C, unified memory) brings it along whatever the host
 * is; any other is on PCIe of the slower generation of card and slot, with the card's lanes. The rates of
 * the links are in catalogue/hosts.json, measured where there are measurements. */
#include "sim/hardware/figures.h"

#include <string.h>

static const char *link_name(vs_arena *arena, const vs_hw_entry *gpu, const vs_hw_entry *host)
{
    if (gpu->link != NULL) {
        return gpu->link;
    }
    const uint64_t card_gen = gpu->figures[VS_HW_GPU_PCIE_GEN].value;
    const uint64_t slot_gen = host->figures[VS_HW_HOST_PCIE_GEN].value;
    return vs_arena_printf(arena, "pcie%" PRIu64 "-x%" PRIu64,
                           card_gen < slot_gen ? card_gen : slot_gen,
                           gpu->figures[VS_HW_GPU_PCIE_LANES].value);
}

/* One rate: the host's own figure where it has one. What a catalogue says about a class of hosts cannot
 * exceed what the link of this card carries (ceiling); what was measured on this machine is taken as
 * it is. */
static vs_hw_figure choose(const vs_hw_figure *of_host, const vs_hw_figure *of_link,
                           const vs_hw_figure *ceiling)
{
    if (of_host->origin == VS_HW_UNKNOWN) {
        return *of_link;
    }
    if (of_host->origin == VS_HW_ASSUMED && of_host->value > ceiling->value) {
        return *ceiling;
    }
    return *of_host;
}

bool vs_hw_link_of(vs_hw_entry *out, vs_arena *arena, const vs_hw_entry *gpu,
                   const vs_hw_entry *host, const char *overlay_dir, vs_err *err)
{
    const char *name = link_name(arena, gpu, host);
    if (name == NULL) {
        return vs_fail_memory(err, arena, "the name of a link");
    }
    const vs_hw_entry *found =
        vs_hw_find(&vs_hw_links, arena, vs_str_of(name), overlay_dir, err);
    if (found == NULL) {
        return false;
    }
    vs_hw_entry link = *found;
    const vs_hw_figure pinned = link.figures[VS_HW_LINK_PINNED];
    const vs_hw_figure d2h = link.figures[VS_HW_LINK_D2H];
    const vs_hw_figure *own = host->figures;
    if (pinned.value == 0 || d2h.value == 0 || link.figures[VS_HW_LINK_PAGEABLE].value == 0) {
        return vs_fail(err, VS_ERR_VALUE,
                       "link \"%s\" of the overlay needs h2d_pinned_bytes_per_s, "
                       "h2d_pageable_bytes_per_s and d2h_bytes_per_s",
                       name);
    }
    vs_hw_figure *rates = link.figures;
    rates[VS_HW_LINK_PINNED] = choose(&own[VS_HW_HOST_PINNED], &pinned, &pinned);
    rates[VS_HW_LINK_D2H] = choose(&own[VS_HW_HOST_D2H], &d2h, &d2h);
    rates[VS_HW_LINK_PAGEABLE] =
        choose(&own[VS_HW_HOST_PAGEABLE], &rates[VS_HW_LINK_PAGEABLE], &pinned);
    if (rates[VS_HW_LINK_PAGEABLE].origin == VS_HW_ASSUMED &&
        rates[VS_HW_LINK_PAGEABLE].value > rates[VS_HW_LINK_PINNED].value) {
        rates[VS_HW_LINK_PAGEABLE] =
            rates[VS_HW_LINK_PINNED]; /* pinned copies are never the slower */
        rates[VS_HW_LINK_PAGEABLE].origin = VS_HW_ASSUMED;
    }
    *out = link;
    return true;
}
