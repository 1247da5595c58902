/* pool/driver.c - the modelled CUDA driver.
 *
 * The driver model of specs/allocator-vectors.json: memory is taken in steps of 2 MiB, the page
 * size that the driver uses (specs/torch-caching-allocator.md [1.5, 14.1]); a call fails when bytes
 * in use plus the request would exceed the total; addresses only increase and never
 * come back. */
#include "sim/pool/pool_internal.h"

#define DRIVER_PAGE_BYTES (2 * VS_MIB)

/* Where addresses start: any page-aligned number that is not 0 would do. This one looks like the ones
 * in recorded snapshots. */
#define FIRST_ADDR UINT64_C(0x7f0000000000)

void vs_model_driver_init(vs_model_driver *driver, vs_bytes total_bytes, vs_bytes in_use_bytes)
{
    *driver = (vs_model_driver){
        .total_bytes = total_bytes, .in_use_bytes = in_use_bytes, .next_addr = FIRST_ADDR};
}

/* Address space is 64 bits: it runs out only for absurd totals. */
static bool take_addresses(vs_model_driver *driver, vs_bytes size_bytes, uint64_t *out_addr)
{
    uint64_t rounded = 0;
    uint64_t next = 0;
    if (!vs_round_up_u64(size_bytes, DRIVER_PAGE_BYTES, &rounded) ||
        !vs_add_u64(driver->next_addr, rounded, &next)) {
        return false;
    }
    *out_addr = driver->next_addr;
    driver->next_addr = next;
    return true;
}

static bool take_memory(vs_model_driver *driver, vs_bytes size_bytes)
{
    uint64_t rounded = 0;
    uint64_t after = 0;
    driver->malloc_calls++;
    if (!vs_round_up_u64(size_bytes, DRIVER_PAGE_BYTES, &rounded) ||
        !vs_add_u64(driver->in_use_bytes, rounded, &after) || after > driver->total_bytes) {
        return false;
    }
    driver->in_use_bytes = after;
    return true;
}

static void give_memory(vs_model_driver *driver, vs_bytes size_bytes)
{
    uint64_t rounded = 0;
    driver->free_calls++;
    const bool was_taken = vs_round_up_u64(size_bytes, DRIVER_PAGE_BYTES, &rounded) &&
                           vs_sub_u64(driver->in_use_bytes, rounded, &driver->in_use_bytes);
    vs_assert(was_taken);
}

static bool model_malloc(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    vs_model_driver *driver = ctx;
    if (!take_memory(driver, size_bytes)) {
        return false;
    }
    if (!take_addresses(driver, size_bytes, out_addr)) {
        give_memory(driver, size_bytes);
        return false;
    }
    return true;
}

static void model_free(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    (void)addr;
    give_memory(ctx, size_bytes);
}

static bool model_reserve(void *ctx, vs_bytes size_bytes, uint64_t *out_addr)
{
    return take_addresses(ctx, size_bytes, out_addr);
}

static bool model_map(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    (void)addr;
    return take_memory(ctx, page_bytes);
}

static void model_unmap(void *ctx, uint64_t addr, vs_bytes page_bytes)
{
    (void)addr;
    give_memory(ctx, page_bytes);
}

static void model_free_range(void *ctx, uint64_t addr, vs_bytes size_bytes)
{
    (void)ctx;
    (void)addr;
    (void)size_bytes; /* addresses are not reused */
}

static void model_mem_get_info(void *ctx, vs_bytes *out_free, vs_bytes *out_total)
{
    const vs_model_driver *driver = ctx;
    *out_total = driver->total_bytes;
    *out_free = driver->in_use_bytes < driver->total_bytes
                    ? driver->total_bytes - driver->in_use_bytes
                    : 0;
}

static void model_synchronize(void *ctx)
{
    const vs_model_driver *driver = ctx;
    if (driver->on_synchronize != NULL) {
        driver->on_synchronize(driver->on_synchronize_ctx);
    }
}

vs_driver vs_model_driver_calls(vs_model_driver *driver)
{
    return (vs_driver){.ctx = driver,
                       .malloc_segment = model_malloc,
                       .free_segment = model_free,
                       .reserve_range = model_reserve,
                       .map_page = model_map,
                       .unmap_page = model_unmap,
                       .free_range = model_free_range,
                       .mem_get_info = model_mem_get_info,
                       .synchronize = model_synchronize};
}
