/* traces/read/mtr.h - the file that our recorder leaves: its layout, for the reader and for whatever writes one.
 *
 * Crash-proof by construction: the file is mapped and grown, every thread owns a slab, the last byte of a record is written last.
 * Everything is little endian. What stands where:
 *
 *   0      header, header_bytes long: the fields below, then key=value lines (UTF-8) to its end, filled up with zeros
 *   ...    slabs of slab_bytes: 64 bytes of slab header, then records of 64 bytes or strings. Bytes that are all zero were
 *          allocated in advance and never used.
 *
 *   header  0 magic "MTRACE1\n"  8 version  12 header bytes  16 record bytes (64)  20 slab bytes  24 clock id
 *           28 u64 t0_mono  36 u64 t0_real  44 pid  48 flags  52 lines
 *   slab    0 magic "SLAB"  4 kind  8 tid  12 pid  16 u64 seq  24 u64 first_t  32 crc  36 used
 *   string  u32 length  u32 id  the bytes, filled up to 4; a length of 0 ends the slab
 *   record  0 u64 t  8 u64 a  16 u64 b  24 u64 c  32 u64 d  40 stream  44 corr  48 str  52 aux  56 u16 type  58 dev
 *           59 flags  60 pad  63 commit
 *
 * crc is zlib's crc32 of the `used` bytes behind the slab header once the slab is closed, 0 before. Lines that readers know:
 * program=, level=, driver=, late=1, device.N.name=, device.N.total_bytes=. */
#ifndef VS_TRACES_MTR_H
#define VS_TRACES_MTR_H

#define MTR_MAGIC        "MTRACE1\n"
#define MTR_SLAB_MAGIC   "SLAB"
#define MTR_VERSION      1u
#define MTR_HEADER_BYTES 4096u
#define MTR_FIELD_BYTES  52u /* of the header, before its lines */
#define MTR_SLAB_BYTES   65536u
#define MTR_SLAB_HEADER  64u
#define MTR_RECORD_BYTES 64u
#define MTR_COMMIT       0xa5u
#define MTR_HOST         255u /* dev */

enum {
    MTR_SLAB_RECORDS = 1,
    MTR_SLAB_STRINGS = 2,
    MTR_SLAB_INDEX = 3 /* written by a clean exit */
};

/* Fields a, b, c, d of each type; t is when the call returned, or when work began. */
enum {
    MTR_SEG_ADD = 1, /* a address, b bytes: cuMemAlloc */
    MTR_SEG_DEL,     /* a address, b bytes */
    MTR_POOL_ADD,    /* a address, b bytes, c pool: cuMemAllocAsync */
    MTR_POOL_DEL,    /* a address, b bytes */
    MTR_POOL_CFG,    /* a pool, b bytes reserved, c bytes used, d release threshold */
    MTR_VA_ADD,      /* a address, b bytes: costs no memory */
    MTR_VA_DEL,
    MTR_PHYS_ADD, /* a handle, b bytes: cuMemCreate */
    MTR_PHYS_DEL, /* a handle: one release */
    MTR_MAP,      /* a address, b bytes, c handle, d offset */
    MTR_UNMAP,    /* a address, b bytes */
    MTR_RETAIN,   /* a handle: one release more is needed */
    MTR_IMPORT,   /* a handle or address, b bytes: memory of another process */
    MTR_PIN_ADD,  /* a address, b bytes: cuMemHostAlloc */
    MTR_PIN_DEL,
    MTR_PINREG_ADD, /* a address, b bytes: cuMemHostRegister */
    MTR_PINREG_DEL,
    MTR_CTX, /* str: the call; a COUNTER stands before and behind it */
    MTR_MODULE,
    MTR_MC,
    MTR_FAIL, /* b bytes asked, c bytes the device had free (0: not known), str the call, aux its result */
    MTR_COPY,    /* a source, b bytes, c destination, t start, d end; aux: MTR_COPY_KIND */
    MTR_MEMSET,  /* a address, b bytes, t start, d end */
    MTR_KERNEL,  /* str name, t start, d end */
    MTR_COUNTER, /* a free, b total, c bytes of this process, d resident bytes of the host */
    /* a bytes from the disk, b from the page cache; d 0: both counted since the start of the process, at t; else one
     * read from t to d */
    MTR_IO,
    MTR_PHASE,   /* str; aux: MTR_PHASE_ */
    MTR_LEVEL,   /* a level of recording from here on; 0: only counters */
    MTR_DROPPED, /* a records that were lost */
    MTR_NOTE,    /* str */
    MTR_CALL,    /* str the call, t start, d end */
    MTR_TYPE_COUNT
};

enum { MTR_PHASE_MARK = 0, MTR_PHASE_START = 1, MTR_PHASE_END = 2 };

/* flags */
#define MTR_MANAGED  1u /* counts against no capacity before it is touched */
#define MTR_IMPORTED 2u
#define MTR_UNTIMED  4u /* the device lost the times of this work */
#define MTR_NESTED   8u

/* aux of a copy: CUpti_ActivityMemcpyKind, and CUpti_ActivityMemoryKind of source and destination (cupti_activity.h, CUDA 13.0). */
#define MTR_COPY_KIND(copy, from, to)                                                          \
    ((uint32_t)(copy) | ((uint32_t)(from) << 8) | ((uint32_t)(to) << 16))

enum { MTR_HTOD = 1, MTR_DTOH = 2, MTR_DTOD = 8, MTR_PTOP = 10 };

enum { MTR_PAGEABLE = 1, MTR_PINNED = 2, MTR_DEVICE = 3 };

/* CUresult of cuda.h: CUDA_ERROR_OUT_OF_MEMORY */
#define MTR_NO_MEMORY 2u

#endif /* VS_TRACES_MTR_H */
