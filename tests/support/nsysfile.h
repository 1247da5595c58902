/* tests/support/nsysfile.h - small exports of Nsight Systems, made from SQL.
 *
 * The tables have the columns that Nsight Systems 2024.6 writes (User Guide, "SQLite Schema Reference"), where they matter here. */
#ifndef TESTS_NSYSFILE_H
#define TESTS_NSYSFILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define NSYS_STRINGS                                                                           \
    "CREATE TABLE StringIds(id INTEGER PRIMARY KEY, value TEXT NOT NULL);"                     \
    "INSERT INTO StringIds VALUES(1,'cudaMalloc_v3020'),(2,'cudaFree_v3020'),"                 \
    "(3,'gemm'),(4,'void gemm<float>()'),(5,'cudaMemcpyAsync_v3020'),(6,'load'),"              \
    "(7,'cudaLaunchKernel_v7000');"
#define NSYS_HEAD                                                                              \
    "CREATE TABLE META_DATA_EXPORT(name TEXT, value TEXT);"                                    \
    "INSERT INTO META_DATA_EXPORT VALUES('EXPORT_PRODUCT_VERSION','2024.6.2.225');"            \
    "CREATE TABLE TARGET_INFO_SESSION_START_TIME(utcEpochNs INTEGER, utcTime TEXT, localTime " \
    "TEXT);"                                                                                   \
    "INSERT INTO TARGET_INFO_SESSION_START_TIME VALUES(1700000000000000000,'','');"            \
    "CREATE TABLE TARGET_INFO_GPU(vmId INTEGER, id INTEGER NOT NULL, name TEXT, totalMemory "  \
    "INTEGER, cuDevice INTEGER);"                                                              \
    "INSERT INTO TARGET_INFO_GPU VALUES(0,0,'NVIDIA T4',15634661376,0);"
#define NSYS_MEMORY                                                                            \
    "CREATE TABLE CUDA_GPU_MEMORY_USAGE_EVENTS(start INTEGER NOT NULL, globalPid INTEGER NOT " \
    "NULL, deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, address INTEGER NOT NULL, "  \
    "pc INTEGER NOT NULL, bytes INTEGER NOT NULL, memKind INTEGER NOT NULL, "                  \
    "memoryOperationType INTEGER NOT NULL, name TEXT, correlationId INTEGER, streamId "        \
    "INTEGER, localMemoryPoolAddress INTEGER, localMemoryPoolSize INTEGER);"
#define NSYS_MEMORY_ROW(start, pid, device, address, bytes, kind, operation)                   \
    "INSERT INTO CUDA_GPU_MEMORY_USAGE_EVENTS(start,globalPid,deviceId,contextId,address,pc,"  \
    "bytes,memKind,memoryOperationType) VALUES(" #start "," #pid "," #device ",1," #address    \
    ",0," #bytes "," #kind "," #operation ");"
#define NSYS_MEMCPY                                                                            \
    "CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY(start INTEGER NOT NULL, end INTEGER NOT NULL, "   \
    "deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, streamId INTEGER NOT NULL, "       \
    "correlationId INTEGER, globalPid INTEGER, bytes INTEGER NOT NULL, copyKind INTEGER NOT "  \
    "NULL, srcKind INTEGER, dstKind INTEGER);"
#define NSYS_MEMCPY_ROW(start, end, bytes, kind, from, to)                                     \
    "INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES(" #start "," #end                           \
    ",0,1,7,1,16777216," #bytes "," #kind "," #from "," #to ");"
#define NSYS_KERNEL                                                                            \
    "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL(start INTEGER NOT NULL, end INTEGER NOT NULL, "   \
    "deviceId INTEGER NOT NULL, contextId INTEGER, streamId INTEGER, correlationId INTEGER, "  \
    "globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL);"          \
    "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES(500,900,0,1,7,2,16777216,4,3);"
#define NSYS_MEMSET                                                                            \
    "CREATE TABLE CUPTI_ACTIVITY_KIND_MEMSET(start INTEGER NOT NULL, end INTEGER NOT NULL, "   \
    "deviceId INTEGER NOT NULL, contextId INTEGER, streamId INTEGER, globalPid INTEGER, "      \
    "value INTEGER, bytes INTEGER NOT NULL);"                                                  \
    "INSERT INTO CUPTI_ACTIVITY_KIND_MEMSET VALUES(1000,1100,0,1,7,16777216,0,4096);"
#define NSYS_CALLS                                                                             \
    "CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME(start INTEGER NOT NULL, end INTEGER NOT NULL, "  \
    "eventClass INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER NOT NULL, "  \
    "returnValue INTEGER NOT NULL);"                                                           \
    "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES(90,100,0,1,1,1,0),(200,210,0,1,2,5,0),"    \
    "(450,455,0,1,3,7,0),(2000,2040,0,1,4,1,2),(3000,3005,0,1,5,2,0);"
#define NSYS_NVTX                                                                              \
    "CREATE TABLE NVTX_EVENTS(start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT "     \
    "NULL, text TEXT, textId INTEGER);"                                                        \
    "INSERT INTO NVTX_EVENTS VALUES(10,4000,59,NULL,6),(20,NULL,34,'here',NULL),"              \
    "(0,NULL,75,'a domain',NULL);"
#define NSYS_WHOLE                                                                             \
    NSYS_STRINGS NSYS_HEAD NSYS_MEMORY NSYS_MEMORY_ROW(100, 16777216, 0, 139637976727552,      \
                                                       2097152, 2, 0)                          \
        NSYS_MEMORY_ROW(120, 16777216, 0, 140000000000000, 4096, 1, 0)                         \
            NSYS_MEMORY_ROW(3005, 16777216, 0, 139637976727552, 2097152, 2, 1)                 \
                NSYS_MEMCPY NSYS_MEMCPY_ROW(200, 400, 1048576, 1, 1, 2)                        \
                    NSYS_MEMCPY_ROW(410, 440, 1048576, 1, 0, 2)                                \
                        NSYS_MEMCPY_ROW(445, 460, 65536, 2, 2, 1)                              \
                            NSYS_MEMCPY_ROW(465, 470, 512, 8, 2, 2)                            \
                                NSYS_MEMSET NSYS_KERNEL NSYS_CALLS NSYS_NVTX

/* The bytes of a database that the script makes, from malloc; NULL when the script is wrong. */
static inline uint8_t *nsys_bytes(const char *script, size_t *out_bytes)
{
    sqlite3 *db = NULL;
    sqlite3_int64 size = 0;
    uint8_t *copy = NULL;
    if (sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA page_size = 1024;", NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, script, NULL, NULL, NULL) == SQLITE_OK) {
        unsigned char *const bytes = sqlite3_serialize(db, "main", &size, 0);
        copy = bytes == NULL ? NULL : malloc((size_t)size);
        for (sqlite3_int64 i = 0; copy != NULL && i < size; i++) {
            copy[i] = bytes[i];
        }
        sqlite3_free(bytes);
    }
    (void)sqlite3_close(db);
    *out_bytes = (size_t)size;
    return copy;
}

#endif /* TESTS_NSYSFILE_H */
