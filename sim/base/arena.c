/* sim/base/arena.c - memory by lifetime.
 *
 *   base            used_bytes       dirty_bytes                 capacity_bytes
 *    |  handed out   |  used before   |  never touched: zero pages    |
 *    +---------------+----------------+-------------------------------+
 *
 * The address range is reserved once (MAP_NORESERVE: the system commits a page when it
 * is first written), so nothing moves and 64 GiB of reserve cost nothing. A reset moves
 * used_bytes to 0 and leaves dirty_bytes, so it is O(1); an allocation below dirty_bytes
 * is cleared when it is handed out, one above it is zero already because the mapping is. */
#if !defined(_DEFAULT_SOURCE)
/* NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming) */
#    define _DEFAULT_SOURCE /* MAP_ANONYMOUS and MAP_NORESERVE are not in POSIX.1-2008 */
#endif

#include "sim/base/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define HAS_ASAN 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#    define HAS_ASAN 1
#endif

/* Under AddressSanitizer memory given back by a reset is poisoned until it is handed out
 * again, so that a stale pointer is caught; only the first 16 MiB of it, since poisoning
 * writes an eighth of the size. */
#define MAX_POISON_BYTES ((size_t)16 * 1024 * 1024)
#if defined(HAS_ASAN)
#    include <sanitizer/asan_interface.h>
#    define POISON(address, count)   ASAN_POISON_MEMORY_REGION((address), (count))
#    define UNPOISON(address, count) ASAN_UNPOISON_MEMORY_REGION((address), (count))
#else
#    define HAS_ASAN                 0
#    define POISON(address, count)   ((void)(address), (void)(count))
#    define UNPOISON(address, count) ((void)(address), (void)(count))
#endif

#define MAX_ALIGN_BYTES 4096 /* pages are at least this large */

/* What raw memory holds in debug builds, so that nobody comes to count on zeros. */
#define RAW_FILL 0xa5

/* Beyond its first bytes an arena asks for huge pages: a run over a model of 90,000 tensors touches some 50 MiB, and
 * a page fault in a virtual machine costs 1 to 2 microseconds. The first bytes stay on small pages, since most
 * runs touch less than a megabyte and clearing 2 MiB for them would take longer than their faults. */
#define HUGE_PAGE_BYTES ((size_t)2 * 1024 * 1024)

/* Advice only: systems without huge pages do without. */
static void advise_huge_pages(const vs_arena *arena)
{
#if defined(MADV_HUGEPAGE)
    const size_t past_small = (uintptr_t)arena->base + 2 * HUGE_PAGE_BYTES - 1;
    const size_t skipped =
        past_small / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES - (uintptr_t)arena->base;
    if (arena->capacity_bytes > skipped + HUGE_PAGE_BYTES) {
        (void)madvise(arena->base + skipped, arena->capacity_bytes - skipped, MADV_HUGEPAGE);
    }
#else
    (void)arena;
#endif
}

bool vs_arena_open(vs_arena *arena, size_t capacity_bytes, vs_err *err)
{
    const long page = sysconf(_SC_PAGESIZE);
    const uint64_t page_bytes = page > 0 ? (uint64_t)page : MAX_ALIGN_BYTES;
    uint64_t rounded = 0;
    if (!vs_round_up_u64(capacity_bytes > 0 ? capacity_bytes : 1, page_bytes, &rounded)) {
        return vs_fail(err, VS_ERR_MEMORY, "an arena of %zu bytes is larger than memory can be",
                       capacity_bytes);
    }
    void *base = mmap(NULL, (size_t)rounded, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        char reason[128];
        char size[VS_TEXT_BYTES];
        return vs_fail(err, VS_ERR_MEMORY,
                       "cannot reserve %s of address space: %s; a limit on virtual memory "
                       "(ulimit -v) may be in force",
                       vs_format_size(rounded, size),
                       vs_errno_text(errno, reason, sizeof reason));
    }
    *arena = (vs_arena){.base = base, .capacity_bytes = (size_t)rounded};
    advise_huge_pages(arena);
    return true;
}

void vs_arena_close(vs_arena *arena)
{
    if (arena->base != NULL) {
        UNPOISON(arena->base, arena->poisoned_bytes); /* the next mapping may land here */
        (void)munmap(arena->base, arena->capacity_bytes);
    }
    *arena = (vs_arena){0};
}

static void *exhaust(vs_arena *arena)
{
    arena->is_exhausted = true;
    return NULL;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Moves used_bytes past size_bytes of memory. NULL: exhausted. */
static uint8_t *take(vs_arena *arena, size_t size_bytes, size_t align)
{
    vs_assert(align > 0 && align <= MAX_ALIGN_BYTES && (align & (align - 1)) == 0);
    arena->alloc_count++;
    if (arena->base == NULL || arena->is_exhausted || arena->alloc_count == arena->fail_at) {
        return exhaust(arena);
    }
    /* capacity is a multiple of the page, so rounding used up to align stays inside it */
    const size_t start = (arena->used_bytes + align - 1) & ~(align - 1);
    if (start > arena->capacity_bytes || size_bytes > arena->capacity_bytes - start) {
        return exhaust(arena);
    }
    arena->used_bytes = start + size_bytes;
    if (start < arena->poisoned_bytes) {
        UNPOISON(arena->base + start,
                 min_size(arena->used_bytes, arena->poisoned_bytes) - start);
    }
    return arena->base + start;
}

static void soil(vs_arena *arena)
{
    if (arena->used_bytes > arena->dirty_bytes) {
        arena->dirty_bytes = arena->used_bytes;
    }
}

void *vs_arena_alloc(vs_arena *arena, size_t size_bytes, size_t align)
{
    uint8_t *memory = take(arena, size_bytes, align);
    if (memory == NULL) {
        return NULL;
    }
    const size_t start = arena->used_bytes - size_bytes;
    if (start < arena->dirty_bytes) {
        memset(memory, 0, min_size(arena->used_bytes, arena->dirty_bytes) - start);
    }
    soil(arena);
    return memory;
}

void *vs_arena_array(vs_arena *arena, size_t count, size_t elem_bytes, size_t align)
{
    uint64_t total = 0;
    if (!vs_mul_u64(count, elem_bytes, &total) || total > SIZE_MAX) {
        arena->alloc_count++;
        return exhaust(arena);
    }
    return vs_arena_alloc(arena, (size_t)total, align);
}

void *vs_arena_raw(vs_arena *arena, size_t count, size_t elem_bytes, size_t align)
{
    uint64_t total = 0;
    if (!vs_mul_u64(count, elem_bytes, &total) || total > SIZE_MAX) {
        arena->alloc_count++;
        return exhaust(arena);
    }
    uint8_t *memory = take(arena, (size_t)total, align);
#ifdef VS_DEBUG
    if (memory != NULL) {
        memset(memory, RAW_FILL, (size_t)total);
    }
#endif
    soil(arena);
    return memory;
}

static void poison(vs_arena *arena, size_t from, size_t count)
{
    POISON(arena->base + from, count);
    if (HAS_ASAN && from + count > arena->poisoned_bytes) {
        arena->poisoned_bytes = from + count;
    }
}

void vs_arena_reset(vs_arena *arena)
{
    vs_arena_rewind(arena, 0);
    arena->alloc_count = 0;
    arena->is_exhausted = false;
}

void vs_arena_rewind(vs_arena *arena, size_t mark)
{
    vs_assert(mark <= arena->used_bytes);
    if (mark < arena->used_bytes) {
        poison(arena, mark, min_size(arena->used_bytes - mark, MAX_POISON_BYTES));
    }
    arena->used_bytes = mark;
}

bool vs_fail_memory(vs_err *err, const vs_arena *arena, const char *what)
{
    if (arena == NULL || arena->base == NULL) {
        return vs_fail(err, VS_ERR_MEMORY, "out of memory for %s", what);
    }
    char capacity[VS_TEXT_BYTES];
    char used[VS_TEXT_BYTES];
    return vs_fail(err, VS_ERR_MEMORY,
                   "out of memory for %s: an arena of %s holds %s and the next request does "
                   "not fit",
                   what, vs_format_size(arena->capacity_bytes, capacity),
                   vs_format_size(arena->used_bytes, used));
}
